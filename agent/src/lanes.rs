//! Slow work beside the agent's loop, in order for each task: what is submitted for one task begins when everything
//! submitted for it before has ended; tasks do not wait for each other.

use std::collections::BTreeMap;
use std::future::Future;

use holdfast_agent_core::TaskRef;
use holdfast_shared::id::AllocId;
use tokio::task::JoinHandle;

/// The last piece of work of every task that has any.
#[derive(Debug, Default)]
pub struct Lanes(BTreeMap<TaskRef, JoinHandle<()>>);

impl Lanes {
    /// Does `work` after everything that was submitted for `task` before.
    pub fn submit(&mut self, task: TaskRef, work: impl Future<Output = ()> + Send + 'static) {
        self.0.retain(|_, last| !last.is_finished());
        let before = self.0.remove(&task);
        let chained = async move {
            if let Some(before) = before {
                // Work that panicked is over, too.
                let _ = before.await;
            }
            work.await;
        };
        self.0.insert(task, tokio::spawn(chained));
    }

    /// Does `work` after everything that was submitted for any task of `alloc` before.
    pub fn submit_after_all(&mut self, alloc: AllocId, work: impl Future<Output = ()> + Send + 'static) {
        let before: Vec<_> = self
            .0
            .extract_if(.., |task, _| task.alloc == alloc)
            .map(|(_, last)| last)
            .collect();
        tokio::spawn(async move {
            for last in before {
                let _ = last.await;
            }
            work.await;
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, oneshot};

    use super::*;

    fn task(alloc: u128, name: &str) -> TaskRef {
        TaskRef {
            alloc: AllocId(alloc),
            task: name.into(),
        }
    }

    #[tokio::test]
    async fn one_task_is_served_in_order_and_others_do_not_wait() {
        let (done, mut order) = mpsc::unbounded_channel();
        let (open, gate) = oneshot::channel::<()>();
        let mut lanes = Lanes::default();
        let note = |name: &'static str| {
            let done = done.clone();
            async move { done.send(name).unwrap() }
        };
        lanes.submit(task(1, "a"), async move { gate.await.unwrap() });
        lanes.submit(task(1, "a"), note("second of a"));
        lanes.submit(task(1, "b"), note("first of b"));
        assert_eq!(order.recv().await, Some("first of b"));
        lanes.submit_after_all(AllocId(1), note("after all"));
        assert!(order.try_recv().is_err());
        open.send(()).unwrap();
        assert_eq!(order.recv().await, Some("second of a"));
        assert_eq!(order.recv().await, Some("after all"));
    }

    #[tokio::test]
    async fn work_that_panics_does_not_stop_what_follows() {
        let (done, mut order) = mpsc::unbounded_channel();
        let mut lanes = Lanes::default();
        lanes.submit(task(1, "a"), async { panic!("as it should") });
        lanes.submit(task(1, "a"), async move { done.send(()).unwrap() });
        assert_eq!(order.recv().await, Some(()));
    }
}
