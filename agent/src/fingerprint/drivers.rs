//! The drivers, as they say of themselves.

use std::collections::BTreeMap;

use holdfast_drivers::DriverInfo;
use holdfast_shared::model::{DriverState, Fingerprint};

/// Adds each driver under its name and under its aliases: a job that says `docker` looks for that driver.
pub(super) fn probe(fingerprint: &mut Fingerprint, infos: &[DriverInfo]) {
    let mut drivers = BTreeMap::new();
    for info in infos {
        let aliases = holdfast_drivers::kind(info.driver).map_or(&[][..], |kind| kind.aliases);
        for name in std::iter::once(&info.driver).chain(aliases) {
            let state = state(name, info);
            if state.detected {
                fingerprint.attributes.extend(state.attributes.clone());
            }
            drivers.insert((*name).to_owned(), state);
        }
    }
    fingerprint.drivers = drivers.into();
}

fn state(name: &str, info: &DriverInfo) -> DriverState {
    let own = format!("driver.{}", info.driver);
    // What podman says of itself as `driver.podman.version` is `driver.docker.version` of the alias.
    let renamed = |key: &str| {
        key.strip_prefix(&own)
            .map_or_else(|| key.to_owned(), |rest| format!("driver.{name}{rest}"))
    };
    let mut attributes = info
        .attributes
        .iter()
        .map(|(key, value)| (renamed(key), value.clone()))
        .collect();
    if info.detected {
        BTreeMap::insert(&mut attributes, format!("driver.{name}"), "1".to_owned());
    }
    DriverState {
        detected: info.detected,
        healthy: info.healthy,
        description: info.description.clone(),
        attributes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_there_under_its_aliases_too() {
        let info = DriverInfo {
            driver: "podman",
            detected: true,
            healthy: true,
            description: "Healthy".into(),
            attributes: [("driver.podman.version".to_owned(), "4.3.1".to_owned())].into(),
        };
        let absent = DriverInfo {
            driver: "raw_exec",
            ..DriverInfo::default()
        };
        let mut fingerprint = Fingerprint::default();
        probe(&mut fingerprint, &[info, absent]);
        let names: Vec<&str> = fingerprint.drivers.keys().map(String::as_str).collect();
        assert_eq!(names, ["docker", "podman", "raw_exec"]);
        let attributes: Vec<String> = fingerprint
            .attributes
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        assert_eq!(
            attributes,
            [
                "driver.docker=1",
                "driver.docker.version=4.3.1",
                "driver.podman=1",
                "driver.podman.version=4.3.1"
            ]
        );
    }
}
