//! What each entry of a plan does to the world, and how it is undone.

use holdfast_shared::time::Duration;

use crate::broker::Wills;
use crate::device::{Device, End};
use crate::kind::Kind;
use crate::network::Weather;
use crate::plan::Entry;
use crate::podman::Podman;
use crate::world::{Event, World};

/// What a size of parts per million stands for no drift at all.
const RIGHT_PACE: i64 = 50_000;

impl World {
    /// Something is done to the world.
    pub(crate) fn begin(&mut self, entry: &Entry) {
        match entry.kind {
            kind if kind.is_wish() => self.wish(entry),
            Kind::Partition | Kind::LongPartition => self.set_link(entry.to, true, true),
            Kind::Deafness => self.set_link(entry.to, false, true),
            Kind::Muteness => self.set_link(entry.to, true, false),
            Kind::ReconnectStorm => self.storm(),
            Kind::BrokerRestart => self.stop_broker(entry.size == 1),
            Kind::CoordinatorCut => self.cut_coordinator_off(),
            Kind::Replay => self.replay(entry.to, entry.dice),
            Kind::StaleWill => self.stale_will(entry),
            Kind::Loss | Kind::Duplication | Kind::Delay => {
                let weather = Some(weather(entry));
                *self.link_weather(entry) = weather;
            }
            Kind::WillLate | Kind::WillTwice | Kind::WillNever => {
                begin_wills(&mut self.broker.wills[entry.to], entry);
            }
            _ => self.begin_at_host(entry),
        }
    }

    fn begin_at_host(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::CoordinatorCrash => self.host.dies_after = Some((entry.size, entry.lasts)),
            Kind::CoordinatorDiskFull => self.host.disk_full = true,
            Kind::CoordinatorReadOnly => {
                (self.host.disk_full, self.host.read_only) = (true, true);
            }
            Kind::CoordinatorSlowDisk => self.host.slow_disk = Some(weather(entry)),
            Kind::CoordinatorWiped => self.wipe_coordinator(entry.lasts),
            Kind::CoordinatorRestored => {
                let age = Duration::from_secs(entry.size as i64 * 60);
                self.restore_coordinator(age, entry.lasts);
            }
            Kind::CoordinatorDrift => self.set_host_pace(entry.size as i64 - RIGHT_PACE),
            Kind::CoordinatorIn1970 => self.host.clock.is_in_1970 = true,
            Kind::Clone => self.switch_clone_on(entry.to, entry.lasts),
            _ => self.begin_at_box(entry),
        }
    }

    fn begin_at_box(&mut self, entry: &Entry) {
        let number = entry.to;
        let device = &mut self.devices[number];
        match entry.kind {
            Kind::AgentCrash => device.end = Some((entry.size, End::Killed(entry.lasts))),
            Kind::TornTail => {
                let torn = entry.random().chance(50);
                device.end = Some((entry.size, End::PowerCut(entry.lasts, torn)));
            }
            Kind::Reboot => self.end_device(number, End::PowerCut(entry.lasts, true)),
            Kind::AgentUpgrade => self.end_agent_in_order(number, entry.lasts),
            Kind::AgentDiskFull => device.disk_full = true,
            Kind::AgentSlowDisk => device.slow_disk = Some(weather(entry)),
            Kind::AgentStoreGone => {
                self.end_device(number, End::Killed(entry.lasts));
                self.devices[number].store = holdfast_agent_core::LocalState::default();
                self.invariants.forget_store(number);
                self.operator.orders.on_store_gone(self.devices[number].id);
            }
            Kind::Suspend => {
                device.asleep.get_or_insert_default();
                let (mute, changes) = (self.links[number].is_mute, self.links[number].changes + 1);
                self.links[number].changes = changes;
                // TCP is silent; whoever sleeps through one and a half keep-alives loses the session.
                if !mute {
                    let missed = Duration(crate::broker::KEEP_ALIVE.0 * 3 / 2);
                    self.at(missed, Event::SleeperExpires(number, changes));
                }
            }
            Kind::In1970 => device.clock.is_in_1970 = true,
            Kind::Drift | Kind::WildDrift => self.set_pace(number, entry.size as i64 - RIGHT_PACE),
            _ => self.begin_at_podman(entry),
        }
    }

    fn begin_at_podman(&mut self, entry: &Entry) {
        let number = entry.to;
        let podman = &mut self.devices[number].podman;
        match entry.kind {
            Kind::PodmanHang => podman.hangs = true,
            Kind::PodmanRestart => podman.is_away = true,
            Kind::PodmanErrors => podman.errors = Some(weather(entry)),
            Kind::Zombies => podman.zombies = true,
            Kind::SlowPull => podman.slow_pull = Some(weather(entry)),
            Kind::ShortLives => podman.short_lives = Some(weather(entry)),
            Kind::ContainersGone => self.remove_everything(number),
            Kind::TaskCrash => self.crash_task(number, entry.dice, entry.size as i32),
            _ => {}
        }
        if matches!(entry.kind, Kind::PodmanHang | Kind::PodmanRestart) {
            self.look_around(number);
        }
    }

    /// What was done comes to its end.
    pub(crate) fn undo(&mut self, entry: &Entry) {
        let number = entry.to;
        match entry.kind {
            Kind::Partition | Kind::LongPartition | Kind::Deafness | Kind::Muteness => {
                self.set_link(number, false, false);
            }
            Kind::Loss | Kind::Duplication | Kind::Delay => *self.link_weather(entry) = None,
            Kind::BrokerRestart | Kind::CoordinatorCut => {
                if entry.kind == Kind::CoordinatorCut {
                    self.broker.is_cut = false;
                } else {
                    self.broker.is_up = true;
                }
                self.at(Duration::from_millis(200), Event::BrokerMeetsCoordinator);
            }
            Kind::WillLate => self.broker.wills[number].late = None,
            Kind::WillTwice => self.broker.wills[number].twice = None,
            Kind::WillNever => self.broker.wills[number].never = false,
            Kind::CoordinatorDiskFull => self.host.disk_full = false,
            Kind::CoordinatorReadOnly => {
                (self.host.disk_full, self.host.read_only) = (false, false);
            }
            Kind::CoordinatorSlowDisk => self.host.slow_disk = None,
            Kind::CoordinatorDrift => self.set_host_pace(0),
            Kind::CoordinatorIn1970 => self.host.clock.is_in_1970 = false,
            Kind::Clone => self.switch_clone_off(number),
            kind if kind.is_wish() => self.unwish(entry),
            _ => self.undo_at_box(entry),
        }
    }

    fn undo_at_box(&mut self, entry: &Entry) {
        let number = entry.to;
        let device = &mut self.devices[number];
        match entry.kind {
            Kind::AgentDiskFull => {
                device.disk_full = false;
                let pause = entry.random().millis(0, 5_000);
                self.at(pause, Event::StoreRetry(number));
            }
            Kind::AgentSlowDisk => device.slow_disk = None,
            Kind::Suspend => {
                for event in device.asleep.take().unwrap_or_default() {
                    self.at(Duration::from_millis(1), event);
                }
            }
            Kind::In1970 => {
                device.clock.is_in_1970 = false;
                self.set_pace(number, 0);
            }
            Kind::Drift | Kind::WildDrift => self.set_pace(number, 0),
            Kind::PodmanHang | Kind::PodmanRestart => {
                if entry.kind == Kind::PodmanHang {
                    device.podman.hangs = false;
                } else {
                    device.podman.is_away = false;
                }
                self.podman_is_back(number);
            }
            Kind::PodmanErrors => device.podman.errors = None,
            Kind::Zombies => device.podman.zombies = false,
            Kind::SlowPull => device.podman.slow_pull = None,
            Kind::ShortLives => device.podman.short_lives = None,
            _ => {}
        }
    }

    fn link_weather(&mut self, entry: &Entry) -> &mut Option<Weather> {
        let link = &mut self.links[entry.to];
        match entry.kind {
            Kind::Loss => &mut link.loss,
            Kind::Duplication => &mut link.duplication,
            _ => &mut link.delay,
        }
    }

    fn set_pace(&mut self, number: usize, pace: i64) {
        let now = self.now;
        self.devices[number].clock.set_pace(now, pace);
        self.set_alarm(number);
    }

    fn set_host_pace(&mut self, pace: i64) {
        self.host.clock.set_pace(self.now, pace);
        self.set_host_alarm();
    }

    /// The broker delivers the will of a session once more that is over.
    fn stale_will(&mut self, entry: &Entry) {
        let device = &self.devices[entry.to];
        let newest = self
            .host
            .state()
            .nodes
            .get(&device.id)
            .map_or(0, |node| node.session);
        let presence = holdfast_shared::wire::Presence {
            session: newest.saturating_sub(entry.size),
            online: false,
        };
        let said = crate::broker::Said::Presence(device.id, presence);
        self.reach_coordinator(said);
    }

    /// A second box with the same disk is switched on.
    fn switch_clone_on(&mut self, of: usize, lasts: Duration) {
        let (number, now) = (self.clone_of(of), self.now);
        if self.devices[number].is_up() || self.devices[of].store.allocs.is_empty() {
            return;
        }
        self.devices[number] = self.devices[of].cloned(self.seed, number, now);
        self.links[number] = crate::network::Link::new(self.seed, number);
        self.invariants.copy_store(of, number);
        self.operator.orders.on_clone(self.devices[number].id);
        self.tell(number, || {
            format!("is switched on with a copy of the disk of box-{of}, for {lasts}")
        });
        self.start_agent(number);
    }

    fn switch_clone_off(&mut self, of: usize) {
        let number = self.clone_of(of);
        let forever = Duration(i64::MAX / 4);
        self.end_device(number, End::PowerCut(forever, true));
        self.devices[number].podman = Podman::default();
        self.operator.orders.on_clone(self.devices[number].id);
        // Whoever reads that an agent was turned away starts it again: the one that was started last is the node.
        self.end_device(of, End::Killed(Duration::from_secs(2)));
    }

    /// The number of the box that a copy of another one is on.
    pub(crate) const fn clone_of(&self, of: usize) -> usize {
        self.boxes + of
    }

    /// Everything that is still broken is mended.
    pub(crate) fn mend_everything(&mut self) {
        let open = std::mem::take(&mut self.open);
        for entry in &open {
            self.undo(entry);
        }
        self.host.dies_after = None;
        let ends = |device: &mut Device| device.end = None;
        self.devices.iter_mut().for_each(ends);
    }
}

fn weather(entry: &Entry) -> Weather {
    Weather {
        size: entry.size,
        random: entry.random(),
    }
}

fn begin_wills(wills: &mut Wills, entry: &Entry) {
    match entry.kind {
        Kind::WillLate => wills.late = Some(weather(entry)),
        Kind::WillTwice => wills.twice = Some(weather(entry)),
        _ => wills.never = true,
    }
}
