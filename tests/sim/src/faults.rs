//! What breaks, and when.

use std::collections::BTreeMap;

use holdfast_shared::id::NodeId;
use holdfast_shared::time::Duration;

use crate::device::Device;
use crate::random::Random;
use crate::world::World;

/// Something that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing passes between a box and the broker.
    Partition(NodeId),
    /// A box is heard but hears nothing.
    Deafness(NodeId),
    /// The agent is killed after so many more effects.
    AgentCrash(NodeId, u64),
    /// A box loses power.
    Reboot(NodeId),
    /// The coordinator is killed after so many more effects.
    CoordinatorCrash(u64),
    /// The coordinator's disk takes no writes.
    CoordinatorDiskFull,
    /// A box's wall clock is in 1970.
    ClockJump(NodeId),
    /// Podman hangs on a box.
    PodmanHang(NodeId),
    /// Somebody removes all containers of a box.
    ContainersGone(NodeId),
    /// Every connection breaks at once.
    ReconnectStorm,
}

impl Fault {
    /// Its kind.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Deafness(_) => "one-way partition",
            Self::AgentCrash(..) => "agent crash",
            Self::Reboot(_) => "reboot",
            Self::CoordinatorCrash(_) => "coordinator crash",
            Self::CoordinatorDiskFull => "coordinator disk full",
            Self::ClockJump(_) => "clock jump",
            Self::PodmanHang(_) => "podman hang",
            Self::ContainersGone(_) => "containers gone",
            Self::ReconnectStorm => "reconnect storm",
        }
    }
}

/// Faults so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) count: u64,
}

impl Faults {
    /// All faults of a story: when each happens, and for how long where it is mended again.
    pub(crate) fn plan(
        random: &mut Random,
        devices: &BTreeMap<NodeId, Device>,
        duration: Duration,
    ) -> Vec<(Duration, Fault, Option<Duration>)> {
        let nodes: Vec<NodeId> = devices.keys().copied().collect();
        let hours = (duration.as_secs() / 3600).max(1) as u64;
        let number = hours * (1 + nodes.len() as u64 / 2);
        (0..number)
            .map(|_| {
                let at = random.millis(10_000, duration.0 as u64 / 1_000_000);
                let node = *random.pick(&nodes);
                let (fault, lasts) = Self::invent(random, node);
                (at, fault, lasts)
            })
            .collect()
    }

    fn invent(random: &mut Random, node: NodeId) -> (Fault, Option<Duration>) {
        let short = random.millis(1_000, 120_000);
        let long = random.millis(60_000, 2 * 3_600_000);
        let effects = random.below(6);
        match random.below(14) {
            0..=2 => (Fault::Partition(node), Some(short)),
            3..=4 => (Fault::Partition(node), Some(long)),
            5 => (Fault::Deafness(node), Some(short)),
            6 => (Fault::AgentCrash(node, effects), None),
            7 => (Fault::Reboot(node), None),
            8 => (Fault::CoordinatorCrash(effects), None),
            9 => (Fault::CoordinatorDiskFull, Some(random.millis(100, 10_000))),
            10 => (Fault::ClockJump(node), Some(long)),
            11 => (Fault::PodmanHang(node), Some(short)),
            12 => (Fault::ContainersGone(node), None),
            _ => (Fault::ReconnectStorm, None),
        }
    }
}

impl World {
    pub(crate) fn apply_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Partition(node) | Fault::Deafness(node) => {
                self.network.cut(node, matches!(fault, Fault::Deafness(_)));
                self.session_ends(node, false);
            }
            Fault::AgentCrash(node, effects) => self.set_agent_death(node, effects),
            Fault::Reboot(node) => self.reboot(node),
            Fault::CoordinatorCrash(effects) => self.host.dies_after = Some(effects),
            Fault::CoordinatorDiskFull => self.host.disk_full = true,
            Fault::ClockJump(node) => {
                let back = Duration(-self.now.0);
                self.with_device(node, |device| device.clock_off = back);
            }
            Fault::PodmanHang(node) => self.with_device(node, |device| device.podman_hangs = true),
            Fault::ContainersGone(node) => self.remove_containers(node),
            Fault::ReconnectStorm => self.broker_gone(),
        }
    }

    pub(crate) fn undo_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Partition(node) | Fault::Deafness(node) => self.network.heal(node),
            Fault::CoordinatorDiskFull => self.disk_works(),
            Fault::ClockJump(node) => self.with_device(node, |device| device.clock_off = Duration::ZERO),
            Fault::PodmanHang(node) => self.with_device(node, |device| device.podman_hangs = false),
            _ => {}
        }
    }

    fn set_agent_death(&mut self, node: NodeId, effects: u64) {
        self.with_device(node, |device| device.dies_after = Some(effects));
    }

    fn with_device(&mut self, node: NodeId, change: impl FnOnce(&mut Device)) {
        if let Some(device) = self.devices.get_mut(&node) {
            change(device);
        }
    }

    /// Killed, as podman would report it; the agent must bring them back.
    fn remove_containers(&mut self, node: NodeId) {
        let running: Vec<_> = self.devices[&node]
            .containers
            .iter()
            .filter(|(_, container)| container.exit.is_none())
            .map(|(task, container)| (task.clone(), container.run))
            .collect();
        for (task, run) in running {
            self.task_ends(node, &task, run, 137);
        }
    }
}
