//! What is known of the box over time: probed once, and kept up to date as drivers and networks come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_drivers::DriverInfo;
use holdfast_shared::model::Fingerprint;

use super::{probe, refresh};
use crate::config::Config;

/// Keeps the fingerprint.
#[derive(Debug)]
pub struct Observer {
    config: Arc<Config>,
    /// What never changes.
    fixed: Fingerprint,
    infos: BTreeMap<&'static str, DriverInfo>,
    /// Whether every driver has been asked once.
    complete: bool,
    /// What was last announced.
    announced: Option<Fingerprint>,
}

impl Observer {
    /// Looks at everything that does not change.
    pub fn new(config: Arc<Config>) -> Self {
        let fixed = probe(&config);
        Self {
            config,
            fixed,
            infos: BTreeMap::new(),
            complete: false,
            announced: None,
        }
    }

    /// What the box is like now, as far as the drivers have spoken.
    pub fn look(&self) -> Fingerprint {
        let infos: Vec<DriverInfo> = self.infos.values().cloned().collect();
        refresh(&self.fixed, &self.config, &infos)
    }

    /// Takes note of what a driver says; answers whether it has become healthy. Drivers that the operator does not want
    /// are passed over.
    pub fn note(&mut self, info: DriverInfo) -> bool {
        if !self.config.drivers.iter().any(|name| name == info.driver) {
            return false;
        }
        let came = info.healthy && !self.infos.get(info.driver).is_some_and(|old| old.healthy);
        self.infos.insert(info.driver, info);
        came
    }

    /// Every driver has been asked.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// The fingerprint, when it is news. Nothing is before every driver was asked once: a node that registers without
    /// the driver of its own allocations would lose them.
    pub fn announce(&mut self) -> Option<Fingerprint> {
        let now = self.look();
        if !self.complete || self.announced.as_ref() == Some(&now) {
            return None;
        }
        self.announced = Some(now.clone());
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_announced_once_and_not_before_every_driver_was_asked() {
        let config = Config::load(["--drivers=raw_exec", "--data-dir=/tmp"], []).unwrap();
        let mut observer = Observer::new(Arc::new(config));
        let info = |driver, healthy| DriverInfo {
            driver,
            detected: true,
            healthy,
            ..DriverInfo::default()
        };
        assert!(observer.note(info("raw_exec", true)) && !observer.note(info("raw_exec", true)));
        assert!(
            !observer.note(info("podman", true)),
            "the operator does not want it"
        );
        assert_eq!(observer.announce(), None);
        observer.complete();
        let announced = observer.announce().unwrap();
        assert!(announced.drivers["raw_exec"].healthy && !announced.drivers.contains_key("podman"));
        assert_eq!(observer.announce(), None);
        observer.note(info("raw_exec", false));
        assert!(!observer.announce().unwrap().drivers["raw_exec"].healthy);
        assert!(observer.note(info("raw_exec", true)));
    }
}
