//! Groups that jobs have in common, in memory once: most jobs of a fleet are the same but for their names.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::sync::{Arc, Weak};

use holdfast_shared::model::{Job, TaskGroup};

use crate::state::State;

/// Groups that are gone are forgotten when there are as many again as were left the last time, and at least so many.
const LEFT_MIN: usize = 64;

/// The groups of all jobs.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    known: BTreeMap<u64, Weak<Vec<TaskGroup>>>,
    /// How many were left when those that are gone were forgotten.
    left: usize,
}

impl Shapes {
    /// Lets a job share its groups with those that have the same.
    pub(crate) fn share(&mut self, job: &mut Job) {
        let Some(groups) = &mut job.task_groups else {
            return;
        };
        let place = self.known.entry(digest(groups)).or_default();
        match place.upgrade().filter(|known| **known == **groups) {
            Some(known) => *groups = known.into(),
            None => *place = Arc::downgrade(groups.inner()),
        }
        if self.known.len() > 2 * self.left.max(LEFT_MIN) {
            self.known.retain(|_, groups| groups.strong_count() > 0);
            self.left = self.known.len();
        }
    }

    /// Lets the jobs of a state that was loaded share what they have in common.
    pub(crate) fn share_all(&mut self, state: &mut State) {
        let (versions, jobs) = (state.versions.clone(), state.jobs.clone());
        for version in versions.values() {
            let mut job = (**version).clone();
            self.share(&mut job);
            let job = Arc::new(job);
            if jobs
                .get(&job.key())
                .is_some_and(|current| Arc::ptr_eq(current, version))
            {
                state.jobs.insert(job.key(), Arc::clone(&job));
            }
            state.versions.insert((job.key(), job.version()), job);
        }
    }
}

/// A number that equal groups have in common, and others hardly ever.
fn digest(groups: &[TaskGroup]) -> u64 {
    let mut digest = Digest(DefaultHasher::new());
    serde_json::to_writer(&mut digest, groups).expect("groups are plain data");
    digest.0.finish()
}

struct Digest(DefaultHasher);

impl io::Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Delta;

    fn job(group: &str) -> Job {
        let group = TaskGroup {
            name: Some(group.into()),
            ..TaskGroup::default()
        };
        Job {
            task_groups: Some(vec![group].into()),
            ..Job::default()
        }
    }

    fn groups(job: &Job) -> &Arc<Vec<TaskGroup>> {
        job.task_groups.as_ref().unwrap().inner()
    }

    #[test]
    fn equal_groups_are_in_memory_once_and_forgotten_with_the_last_job() {
        let mut shapes = Shapes::default();
        let [mut first, mut second, mut other] = ["a", "a", "b"].map(job);
        for job in [&mut first, &mut second, &mut other] {
            shapes.share(job);
        }
        assert!(Arc::ptr_eq(groups(&first), groups(&second)));
        assert!(!Arc::ptr_eq(groups(&first), groups(&other)));
        for number in 0..1000 {
            shapes.share(&mut job(&number.to_string()));
        }
        assert!(shapes.known.len() <= 2 * LEFT_MIN + 1);
        shapes.share(&mut other);
        let mut again = job("b");
        shapes.share(&mut again);
        assert!(Arc::ptr_eq(groups(&again), groups(&other)));
    }

    #[test]
    fn a_loaded_state_shares_and_its_current_jobs_are_their_versions() {
        let mut state = State::default();
        for name in ["x", "y"] {
            let mut job = job("a");
            (job.id, job.version) = (Some(name.into()), Some(3));
            let job = Arc::new(job);
            state.apply(&Delta::JobVersion(Arc::clone(&job)));
            state.apply(&Delta::Job(job));
        }
        Shapes::default().share_all(&mut state);
        let jobs: Vec<_> = state.jobs.values().collect();
        assert!(Arc::ptr_eq(groups(jobs[0]), groups(jobs[1])));
        for job in jobs {
            let version = &state.versions[&(job.key(), 3)];
            assert!(Arc::ptr_eq(job, version));
        }
    }
}
