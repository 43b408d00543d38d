//! Which tasks run as far as the core has been told: so that every run ends exactly once for the core, however
//! many witnesses its end has, and also when it has none.

use std::collections::BTreeMap;

use holdfast_agent_core::{Input, Recovery, TaskInput, TaskRef};

/// One run of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run(u64);

/// The runs that have not ended.
#[derive(Debug, Default)]
pub struct Runs {
    next: u64,
    live: BTreeMap<TaskRef, Run>,
}

impl Runs {
    /// Takes note of what the core is about to be told; `false` when it must not be told: the run has ended already.
    pub fn admit(&mut self, input: &Input) -> bool {
        match input {
            Input::Task(task, TaskInput::Started { .. } | TaskInput::Recovered(Recovery::Running { .. })) => {
                self.begin(task);
                true
            }
            Input::Task(task, TaskInput::Recovered(Recovery::Exited(_) | Recovery::Gone)) => {
                self.live.remove(task);
                true
            }
            Input::Task(task, TaskInput::Exited(_)) => self.live.remove(task).is_some(),
            _ => true,
        }
    }

    /// The run of `task` that is to be ended; one begins when none was known.
    pub fn ending(&mut self, task: &TaskRef) -> Run {
        match self.live.get(task) {
            Some(run) => *run,
            None => self.begin(task),
        }
    }

    /// Whether `run` is the one of `task` that has not ended.
    pub fn is_live(&self, task: &TaskRef, run: Run) -> bool {
        self.live.get(task) == Some(&run)
    }

    fn begin(&mut self, task: &TaskRef) -> Run {
        self.next += 1;
        self.live.insert(task.clone(), Run(self.next));
        Run(self.next)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_agent_core::Exit;
    use holdfast_shared::id::AllocId;

    use super::*;

    #[test]
    fn a_run_ends_once_and_an_end_belongs_to_its_run() {
        let task = TaskRef {
            alloc: AllocId(1),
            task: "t".into(),
        };
        let input = |input| Input::Task(task.clone(), input);
        let started = input(TaskInput::Started {
            handle: vec![1],
            address: String::new(),
        });
        let exited = input(TaskInput::Exited(Exit::default()));
        let mut runs = Runs::default();
        assert!(!runs.admit(&exited));
        assert!(runs.admit(&started));
        let first = runs.ending(&task);
        assert!(runs.is_live(&task, first) && runs.admit(&exited) && !runs.admit(&exited));
        assert!(runs.admit(&started) && !runs.is_live(&task, first));
    }
}
