//! Devices that jobs may ask for: USB devices, serial ports and graphics processors that have a node in `/dev`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use holdfast_shared::model::{DeviceInstance, NodeDevice};

/// The devices of this box.
pub(super) fn probe() -> Vec<NodeDevice> {
    find(Path::new("/"))
}

/// The devices of the box whose file system begins at `root`.
fn find(root: &Path) -> Vec<NodeDevice> {
    let mut found = BTreeMap::new();
    usb(root, &mut found);
    serial(root, &mut found);
    gpu(root, &mut found);
    found.into_values().collect()
}

/// Devices of one kind, by vendor and model.
type Found = BTreeMap<(&'static str, String, String), NodeDevice>;

fn add(
    found: &mut Found,
    kind: &'static str,
    (vendor, model): (String, String),
    (id, path): (String, String),
) {
    let key = (kind, vendor.clone(), model.clone());
    let device = found.entry(key).or_insert_with(|| NodeDevice {
        kind: kind.to_owned(),
        vendor,
        name: model,
        ..NodeDevice::default()
    });
    device.instances.push(DeviceInstance {
        id,
        healthy: true,
        path,
    });
}

/// The entries of a folder, in the order of their names.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// What a file of `/sys` says, without the line's end.
fn says(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Everything that is plugged in, but for hubs: they only lead to others.
fn usb(root: &Path, found: &mut Found) {
    for folder in entries(&root.join("sys/bus/usb/devices")) {
        let (Some(vendor), Some(product)) = (says(&folder, "idVendor"), says(&folder, "idProduct")) else {
            continue;
        };
        let numbers = says(&folder, "busnum").zip(says(&folder, "devnum"));
        let numbers =
            numbers.and_then(|(bus, device)| Some((bus.parse::<u16>().ok()?, device.parse::<u16>().ok()?)));
        let Some((bus, device)) = numbers.filter(|_| says(&folder, "bDeviceClass").as_deref() != Some("09"))
        else {
            continue;
        };
        let id = says(&folder, "serial").unwrap_or_else(|| name_of(&folder));
        let path = format!("/dev/bus/usb/{bus:03}/{device:03}");
        add(found, "usb", (vendor, product), (id, path));
    }
}

/// Ports with hardware behind them: adapters, and built-in ones that the kernel found.
fn serial(root: &Path, found: &mut Found) {
    for folder in entries(&root.join("sys/class/tty")) {
        let name = name_of(&folder);
        let vendor = ["ttyUSB", "ttyACM", "ttyAMA"]
            .into_iter()
            .find(|prefix| name.starts_with(prefix));
        let Some(model) = vendor.filter(|_| folder.join("device").exists()) else {
            continue;
        };
        let path = format!("/dev/{name}");
        add(
            found,
            "serial",
            ("tty".to_owned(), model.to_owned()),
            (name, path),
        );
    }
}

/// Processors with a node to compute on.
fn gpu(root: &Path, found: &mut Found) {
    for folder in entries(&root.join("sys/class/drm")) {
        let name = name_of(&folder);
        if !name.starts_with("renderD") {
            continue;
        }
        let part =
            |file| says(&folder.join("device"), file).map(|text| text.trim_start_matches("0x").to_owned());
        let vendor = part("vendor").unwrap_or_else(|| "unknown".to_owned());
        let model = part("device").unwrap_or_else(|| "unknown".to_owned());
        let path = format!("/dev/dri/{name}");
        add(found, "gpu", (vendor, model), (name, path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, folder: &str, files: &[(&str, &str)]) {
        fs::create_dir_all(root.join(folder)).unwrap();
        for (name, text) in files {
            fs::write(root.join(folder).join(name), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn what_has_a_node_in_dev_is_found_with_its_id() {
        let root = tempfile::tempdir().unwrap();
        let usb = [
            ("idVendor", "0403"),
            ("idProduct", "6001"),
            ("busnum", "1"),
            ("devnum", "4"),
        ];
        write(
            root.path(),
            "sys/bus/usb/devices/1-1",
            &[&usb[..], &[("serial", "A50285BI")]].concat(),
        );
        write(root.path(), "sys/bus/usb/devices/1-2", &usb);
        write(
            root.path(),
            "sys/bus/usb/devices/usb1",
            &[&usb[..], &[("bDeviceClass", "09")]].concat(),
        );
        write(root.path(), "sys/class/tty/ttyUSB0/device", &[]);
        write(root.path(), "sys/class/tty/ttyS0", &[]);
        write(
            root.path(),
            "sys/class/drm/renderD128/device",
            &[("vendor", "0x8086"), ("device", "0x46a6")],
        );
        let found: Vec<String> = find(root.path())
            .iter()
            .flat_map(|device| {
                let instances = device.instances.iter();
                instances
                    .map(|it| format!("{} {} {}", device.id(), it.id, it.path))
                    .collect::<Vec<_>>()
            })
            .collect();
        let wanted = [
            "8086/gpu/46a6 renderD128 /dev/dri/renderD128",
            "tty/serial/ttyUSB ttyUSB0 /dev/ttyUSB0",
            "0403/usb/6001 A50285BI /dev/bus/usb/001/004",
            "0403/usb/6001 1-2 /dev/bus/usb/001/004",
        ];
        assert_eq!(found, wanted);
    }
}
