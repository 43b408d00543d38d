//! The list of everything that can be done to the world of a story.

/// Whom something is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A box, by its number.
    Node,
    /// A job, by its number.
    Job,
    /// Everybody, or the coordinator.
    All,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $subject:ident $weight:literal $size:expr, $lasts:expr;)+) => {
        /// Something that is done to the world. What `size` means stands with each; durations are in milliseconds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind { $($(#[$doc])* $kind,)+ }

        /// Every kind.
        pub(crate) const KINDS: &[Kind] = &[$(Kind::$kind,)+];

        impl Kind {
            /// Its name in stories and statistics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// Whom it is done to.
            pub const fn subject(self) -> Subject {
                match self { $(Self::$kind => Subject::$subject,)+ }
            }

            /// How often it is drawn, compared with others of its class; 0 for what is drawn for a whole story.
            pub(crate) const fn weight(self) -> u64 {
                match self { $(Self::$kind => $weight,)+ }
            }

            /// From which size to which.
            pub(crate) const fn size(self) -> (u64, u64) {
                match self { $(Self::$kind => $size,)+ }
            }

            /// How long it lasts, from and to; both 0 when it is over at once.
            pub(crate) const fn lasts(self) -> (u64, u64) {
                match self { $(Self::$kind => $lasts,)+ }
            }
        }
    };
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

kinds! {
    /// Nothing passes between a box and the broker, and nobody is told.
    Partition "partition" Node 8 (0, 0), (SECOND, 2 * MINUTE);
    /// The same, for long.
    LongPartition "long-partition" Node 5 (0, 0), (MINUTE, 2 * HOUR);
    /// A box is heard and hears nothing.
    Deafness "deafness" Node 4 (0, 0), (SECOND, 5 * MINUTE);
    /// A box hears everything and is not heard.
    Muteness "muteness" Node 4 (0, 0), (SECOND, 5 * MINUTE);
    /// So many percent of the messages of a box are lost on the way.
    Loss "message-loss" Node 3 (5, 60), (MINUTE, 20 * MINUTE);
    /// So many percent of the messages of a box arrive twice, the second time out of order.
    Duplication "duplication" Node 3 (5, 60), (MINUTE, 30 * MINUTE);
    /// Messages of a box take up to so many milliseconds, on each topic another time.
    Delay "delay" Node 3 (200, 20_000), (MINUTE, 20 * MINUTE);
    /// Every connection breaks at once.
    ReconnectStorm "reconnect-storm" All 2 (0, 0), (0, 0);
    /// An external broker is restarted: with its sessions (0) or without (1).
    BrokerRestart "broker-restart" All 3 (0, 1), (100, 5 * MINUTE);
    /// An external broker and the coordinator cannot reach each other; sessions of boxes go on.
    CoordinatorCut "coordinator-cut" All 2 (0, 0), (SECOND, 10 * MINUTE);
    /// The broker publishes the wills of a box late, by up to so many seconds.
    WillLate "late-will" Node 2 (1, 120), (10 * MINUTE, HOUR);
    /// The broker publishes the wills of a box twice.
    WillTwice "repeated-will" Node 2 (1, 120), (10 * MINUTE, HOUR);
    /// The broker never publishes the wills of a box.
    WillNever "missing-will" Node 2 (0, 0), (10 * MINUTE, HOUR);
    /// The broker delivers the will of a session once more that ended so many sessions ago (a retained one, say).
    StaleWill "stale-will" Node 2 (1, 3), (0, 0);

    /// The broker delivers some old message to a box once more.
    Replay "replay" Node 4 (0, 0), (0, 0);

    /// The coordinator is killed after so many more effects.
    CoordinatorCrash "coordinator-crash" All 6 (0, 12), (500, MINUTE);
    /// The coordinator's disk takes no changes.
    CoordinatorDiskFull "coordinator-disk-full" All 2 (0, 0), (100, 2 * MINUTE);
    /// The coordinator's disk cannot be written, so that it cannot be started either.
    CoordinatorReadOnly "coordinator-read-only" All 1 (0, 0), (100, 5 * MINUTE);
    /// The coordinator's disk takes so many milliseconds for each commit.
    CoordinatorSlowDisk "coordinator-slow-disk" All 2 (10, 5_000), (10 * SECOND, 5 * MINUTE);
    /// The coordinator's disk is gone, and it starts with an empty one.
    CoordinatorWiped "coordinator-wiped" All 0 (0, 0), (500, MINUTE);
    /// The coordinator is restored from a backup that is at least so many minutes old.
    CoordinatorRestored "coordinator-restored" All 0 (5, 300), (500, MINUTE);
    /// The coordinator's clock is off by 50,000 less than so many parts per million.
    CoordinatorDrift "coordinator-drift" All 1 (49_000, 51_000), (10 * MINUTE, 2 * HOUR);
    /// The coordinator's wall clock is in 1970: that counts at its next start.
    CoordinatorIn1970 "coordinator-in-1970" All 1 (0, 0), (MINUTE, 2 * HOUR);

    /// The agent is killed after so many more effects.
    AgentCrash "agent-crash" Node 6 (0, 8), (100, 15 * SECOND);
    /// The agent is ended in order and another one is started.
    AgentUpgrade "agent-upgrade" Node 2 (0, 0), (100, 30 * SECOND);
    /// A box loses power.
    Reboot "reboot" Node 4 (0, 0), (5 * SECOND, 5 * MINUTE);
    /// A box loses power while its agent commits something: after so many more effects, the last commit torn or not.
    TornTail "torn-tail" Node 2 (0, 4), (5 * SECOND, MINUTE);
    /// The agent's disk takes no changes.
    AgentDiskFull "agent-disk-full" Node 2 (0, 0), (SECOND, 30 * MINUTE);
    /// The agent's disk takes so many milliseconds for each commit.
    AgentSlowDisk "agent-slow-disk" Node 2 (10, 3_000), (10 * SECOND, 10 * MINUTE);
    /// The agent's store is damaged beyond repair and put aside; its identity is not.
    AgentStoreGone "agent-store-gone" Node 2 (0, 0), (100, 15 * SECOND);
    /// A second box with the same identity and store.
    Clone "clone" Node 0 (0, 0), (MINUTE, 2 * HOUR);
    /// A box sleeps.
    Suspend "suspend" Node 3 (0, 0), (SECOND, 30 * MINUTE);
    /// A box's wall clock is in 1970.
    In1970 "in-1970" Node 3 (0, 0), (MINUTE, 2 * HOUR);
    /// A box's clock is off by 50,000 less than so many parts per million, its wall clock by as much the other way.
    Drift "drift" Node 3 (49_000, 51_000), (10 * MINUTE, 2 * HOUR);
    /// A box's clock is off by far more than any real one.
    WildDrift "wild-drift" Node 1 (10_000, 90_000), (10 * MINUTE, HOUR);

    /// Podman hangs.
    PodmanHang "podman-hang" Node 3 (0, 0), (SECOND, 5 * MINUTE);
    /// So many percent of what podman is asked for fails.
    PodmanErrors "podman-errors" Node 3 (10, 100), (10 * SECOND, 10 * MINUTE);
    /// Containers do not end when they are told to.
    Zombies "zombies" Node 2 (0, 0), (10 * SECOND, 10 * MINUTE);
    /// Somebody removes all containers of a box.
    ContainersGone "containers-gone" Node 2 (0, 0), (0, 0);
    /// Pulling an image takes up to so many seconds.
    SlowPull "slow-pull" Node 2 (10, 900), (MINUTE, 30 * MINUTE);
    /// Podman's service is restarted, and what ends meanwhile is not reported before it is back.
    PodmanRestart "podman-restart" Node 2 (0, 0), (500, MINUTE);
    /// A container ends by itself, badly.
    TaskCrash "task-crash" Node 6 (1, 255), (0, 0);
    /// Containers end after up to so many seconds.
    ShortLives "short-lives" Node 2 (1, 600), (MINUTE, 20 * MINUTE);

    /// The operator registers a job or a new version of it; the size says which (`jobs.rs`).
    Register "register" Job 50 (0, 1023), (0, 0);
    /// The operator stops a job.
    Stop "stop" Job 9 (0, 1), (0, 0);
    /// The operator stops and forgets a job.
    Purge "purge" Job 3 (0, 0), (0, 0);
    /// The operator has a job evaluated, by force (1) or not (0).
    Evaluate "evaluate" Job 8 (0, 1), (0, 0);
    /// The operator promotes the canaries of a job.
    Promote "promote" Job 10 (0, 0), (0, 0);
    /// The operator halts the deployment of a job.
    Pause "pause" Job 4 (0, 0), (MINUTE, HOUR);
    /// The operator gives the deployment of a job up.
    FailDeployment "fail-deployment" Job 3 (0, 0), (0, 0);
    /// The operator changes the count of a job, to one more than the size.
    Scale "scale" Job 4 (0, 3), (0, 0);
    /// The operator goes back to an earlier version of a job.
    Revert "revert" Job 4 (0, 8), (0, 0);
    /// The operator has the parameterized job launched.
    Dispatch "dispatch" All 6 (0, 0), (0, 0);
    /// The operator empties a box within so many minutes (0: at once), and takes it back later.
    Drain "drain" Node 5 (0, 30), (MINUTE, 2 * HOUR);
    /// A box takes nothing new for a while.
    Ineligible "ineligible" Node 3 (0, 0), (MINUTE, HOUR);
    /// A job that may push out others wants the first one's port on every box, for a while.
    Rival "rival" All 2 (0, 0), (MINUTE, HOUR);
    /// The operator has tasks on a box restarted: those that run (0), all of an allocation (1), one (2).
    RestartTasks "restart-tasks" Node 10 (0, 2), (0, 0);
    /// The operator has an allocation of a job ended, so that it is replaced.
    StopAllocation "stop-allocation" Job 6 (0, 1), (0, 0);
    /// The operator changes the meta of a box: takes it away (0), or sets it.
    ApplyMeta "apply-meta" Node 10 (0, 99), (0, 0);
    /// The operator has what is over forgotten.
    CollectGarbage "collect-garbage" All 2 (0, 0), (0, 0);
    /// The operator declares the coordinator's state to be the truth.
    AdoptState "adopt-state" All 0 (0, 0), (0, 0);
}

impl Kind {
    /// Whether it is a wish of the operator and no fault.
    pub fn is_wish(self) -> bool {
        self >= Self::Register
    }

    /// The kind with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        KINDS.iter().copied().find(|kind| kind.name() == name)
    }
}
