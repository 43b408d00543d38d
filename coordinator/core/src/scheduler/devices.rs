//! Devices: which of a node's a group may have, and which ones it gets.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use holdfast_shared::model::{Allocation, AssignedDevice, Node, NodeDevice, RequestedDevice, TaskGroup};

use super::{constraint, rank};

/// What one task of a group asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceAsk<'a> {
    task: &'a str,
    request: &'a RequestedDevice,
}

/// Everything that the tasks of a group ask for.
pub(crate) fn asks(group: &TaskGroup) -> Vec<DeviceAsk<'_>> {
    let of_tasks = group.tasks().iter().flat_map(|task| {
        let devices = task.resources.iter().flat_map(|it| it.devices.iter().flatten());
        devices.map(|request| DeviceAsk {
            task: &task.name,
            request,
        })
    });
    of_tasks.collect()
}

/// Devices that are taken: the name of their kind, and their id.
pub(crate) type TakenDevices = BTreeSet<(String, String)>;

/// The devices that an allocation has.
pub(crate) fn taken_by(alloc: &Allocation) -> impl Iterator<Item = (String, String)> {
    let devices = alloc.resources.devices.iter();
    devices.flat_map(|it| it.ids.iter().map(|id| (it.name.clone(), id.clone())))
}

/// Devices for a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Assigned {
    pub(crate) devices: Vec<AssignedDevice>,
    /// How many of the wishes they meet, by weight; `None` when there are none.
    pub(crate) score: Option<f64>,
}

/// Devices that one request could have.
struct Offer {
    score: f64,
    met: Vec<(i64, bool)>,
    device: AssignedDevice,
}

/// Assigns every device that is asked for; `None` when the node has too few that are healthy, satisfy the constraints
/// and are not taken.
pub(crate) fn assign(asks: &[DeviceAsk<'_>], node: &Node, taken: &TakenDevices) -> Option<Assigned> {
    let mut taken = Cow::Borrowed(taken);
    let mut assigned = Assigned::default();
    let mut wishes: Vec<(i64, bool)> = Vec::new();
    for ask in asks {
        let count = usize::try_from(ask.request.count.unwrap_or(1)).unwrap_or(usize::MAX);
        let mut best: Option<Offer> = None;
        for device in node
            .fingerprint
            .devices
            .iter()
            .filter(|it| suits(ask.request, it))
        {
            let name = device.id();
            let free = device.instances.iter().filter(|it| it.healthy);
            let free = free.filter(|it| !taken.contains(&(name.clone(), it.id.clone())));
            let ids: Vec<String> = free.take(count).map(|it| it.id.clone()).collect();
            if ids.len() < count {
                continue;
            }
            let met = met(ask.request, device);
            let score = rank::affinity(met.iter().copied()).unwrap_or(0.0);
            if best.as_ref().is_none_or(|known| score > known.score) {
                let task = ask.task.to_owned();
                let device = AssignedDevice { task, name, ids };
                best = Some(Offer { score, met, device });
            }
        }
        let Offer { met, device, .. } = best?;
        let ids = device.ids.iter().map(|id| (device.name.clone(), id.clone()));
        taken.to_mut().extend(ids);
        wishes.extend(met);
        assigned.devices.push(device);
    }
    assigned.score = rank::affinity(wishes);
    Some(assigned)
}

/// Whether devices of this kind are what is asked for.
fn suits(request: &RequestedDevice, device: &NodeDevice) -> bool {
    let parts: Vec<&str> = request.name.split('/').collect();
    let named = match parts[..] {
        [kind] => kind == device.kind,
        [vendor, kind] => (vendor, kind) == (device.vendor.as_str(), device.kind.as_str()),
        [vendor, kind, ..] => {
            let model = request.name.splitn(3, '/').nth(2).unwrap_or_default();
            (vendor, kind, model) == (device.vendor.as_str(), device.kind.as_str(), device.name.as_str())
        }
        [] => false,
    };
    let mut constraints = request.constraints.iter().flatten();
    named && constraints.all(|it| holds((&it.left, &it.operand, &it.right), device))
}

/// Each wish with its weight, and whether devices of this kind meet it.
fn met(request: &RequestedDevice, device: &NodeDevice) -> Vec<(i64, bool)> {
    let wishes = request.affinities.iter().flatten();
    wishes
        .map(|it| {
            let met = holds((&it.left, &it.operand, &it.right), device);
            (it.weight.unwrap_or(50), met)
        })
        .collect()
}

/// A comparison of a device's properties: as quantities when both sides are some of the same kind, else as texts.
fn holds((left, operand, right): (&str, &str, &str), device: &NodeDevice) -> bool {
    let (left, right) = (resolve(left, device), resolve(right, device));
    let quantities = left
        .as_deref()
        .and_then(quantity)
        .zip(right.as_deref().and_then(quantity));
    if let Some(((left, of_left), (right, of_right))) = quantities
        && of_left == of_right
        && let Some(order) = left.partial_cmp(&right)
        && let Some(holds) = compares(operand, order)
    {
        return holds;
    }
    constraint::holds(operand, left.as_deref(), right.as_deref())
}

fn compares(operand: &str, order: Ordering) -> Option<bool> {
    Some(match operand {
        "" | "=" | "==" | "is" => order.is_eq(),
        "!=" | "not" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        _ => return None,
    })
}

fn resolve<'a>(target: &'a str, device: &'a NodeDevice) -> Option<Cow<'a, str>> {
    let Some(name) = target.strip_prefix("${").and_then(|it| it.strip_suffix('}')) else {
        return Some(target.into());
    };
    match name {
        "device.model" => Some(device.name.as_str().into()),
        "device.vendor" => Some(device.vendor.as_str().into()),
        "device.type" => Some(device.kind.as_str().into()),
        "device.ids" => {
            let ids: Vec<&str> = device.instances.iter().map(|it| it.id.as_str()).collect();
            Some(ids.join(",").into())
        }
        _ => {
            let value = device.attributes.get(name.strip_prefix("device.attr.")?)?;
            Some(value.as_str().into())
        }
    }
}

/// What a unit is a unit of, and how much of it.
const UNITS: [(&str, &str, f64); 18] = [
    ("kB", "byte", 1e3),
    ("MB", "byte", 1e6),
    ("GB", "byte", 1e9),
    ("TB", "byte", 1e12),
    ("KiB", "byte", 1024.0),
    ("MiB", "byte", 1_048_576.0),
    ("GiB", "byte", 1_073_741_824.0),
    ("TiB", "byte", 1_099_511_627_776.0),
    ("B", "byte", 1.0),
    ("MHz", "hertz", 1e6),
    ("GHz", "hertz", 1e9),
    ("mW", "watt", 1e-3),
    ("W", "watt", 1.0),
    ("kW", "watt", 1e3),
    ("MB/s", "byte a second", 1e6),
    ("GB/s", "byte a second", 1e9),
    ("MiB/s", "byte a second", 1_048_576.0),
    ("GiB/s", "byte a second", 1_073_741_824.0),
];

/// A number with a unit, in the base unit, and what it is a quantity of.
fn quantity(text: &str) -> Option<(f64, &'static str)> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let (_, of, factor) = UNITS.iter().find(|(name, ..)| *name == unit.trim())?;
    Some((number * factor, of))
}

#[cfg(test)]
mod tests {
    use holdfast_shared::model::{DeviceInstance, Fingerprint};
    use serde_json::json;

    use super::super::tests::{job, node};
    use super::*;

    fn stick(vendor: &str, model: &str, memory: &str, ids: &[(&str, bool)]) -> NodeDevice {
        let instances = ids.iter().map(|(id, healthy)| DeviceInstance {
            id: (*id).to_owned(),
            healthy: *healthy,
            path: format!("/dev/{id}"),
        });
        NodeDevice {
            kind: "gpu".into(),
            vendor: vendor.into(),
            name: model.into(),
            instances: instances.collect(),
            attributes: [("memory".to_owned(), memory.to_owned())].into(),
        }
    }

    fn assigned(request: serde_json::Value, taken: &TakenDevices) -> Option<(Vec<String>, Option<f64>)> {
        let job = job(
            json!({ "ID": "web", "TaskGroups": [{ "Name": "app", "Tasks": [{ "Name": "main",
            "Resources": { "Devices": [request] } }] }] }),
        );
        let devices = vec![
            stick("acme", "old", "512 MiB", &[("a0", true), ("a1", false)]),
            stick("acme", "new", "4 GiB", &[("b0", true), ("b1", true)]),
            stick("other", "new", "8 GiB", &[("c0", true)]),
        ];
        let print = Fingerprint {
            devices,
            ..Fingerprint::default()
        };
        let found = assign(&asks(&job.groups()[0]), &node(1, print), taken)?;
        let ids = found.devices.iter().flat_map(|it| it.ids.iter().cloned());
        Some((ids.collect(), found.score))
    }

    #[test]
    fn devices_are_assigned_by_kind_vendor_and_model_as_many_as_are_asked_for() {
        let none = TakenDevices::new();
        for (name, count, ids) in [
            ("gpu", 1, Some(vec!["a0"])),
            ("gpu", 2, Some(vec!["b0", "b1"])),
            ("other/gpu", 1, Some(vec!["c0"])),
            ("acme/gpu/new", 1, Some(vec!["b0"])),
            ("acme/gpu/old", 2, None),
            ("usb", 1, None),
        ] {
            let found = assigned(json!({ "Name": name, "Count": count }), &none).map(|(ids, _)| ids);
            let wanted = ids.map(|ids| ids.into_iter().map(str::to_owned).collect());
            assert_eq!(found, wanted, "{count} {name}");
        }
    }

    #[test]
    fn what_is_taken_is_not_given_out_again() {
        let taken = TakenDevices::from([("acme/gpu/new".to_owned(), "b0".to_owned())]);
        let found = assigned(json!({ "Name": "acme/gpu/new" }), &taken).unwrap();
        assert_eq!(found.0, ["b1"]);
    }

    #[test]
    fn constraints_and_affinities_compare_quantities_with_their_units() {
        let none = TakenDevices::new();
        let large = json!([{ "LTarget": "${device.attr.memory}", "Operand": ">=", "RTarget": "2048 MiB" }]);
        let found = assigned(json!({ "Name": "gpu", "Constraints": large }), &none).unwrap();
        assert_eq!(found, (vec!["b0".to_owned()], None));
        let wish = json!([{ "LTarget": "${device.vendor}", "RTarget": "other", "Weight": 100 }]);
        let found = assigned(json!({ "Name": "gpu", "Affinities": wish }), &none).unwrap();
        assert_eq!(found, (vec!["c0".to_owned()], Some(1.0)));
    }
}
