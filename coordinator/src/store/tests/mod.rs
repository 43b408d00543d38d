//! What survives a kill, a torn snapshot and a ruined log.

mod carry_over;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use holdfast_coordinator_core::{Delta, State};
use holdfast_shared::id::{IdGenerator, NodeId};
use holdfast_shared::model::{Eligibility, Job, Node, NodeStatus};
use holdfast_shared::time::Timestamp;

use super::*;

fn job(name: &str, version: u64) -> Arc<Job> {
    let mut job = Job {
        id: Some(name.into()),
        version: Some(version),
        ..Job::default()
    };
    job.canonicalize();
    Arc::new(job)
}

fn sample(index: u64) -> Batch {
    let mut ids = IdGenerator::from_seed(1);
    let node = NodeId::generate(&mut ids);
    let deltas = [
        Delta::Job(job("web", index)),
        Delta::JobVersion(job("web", index)),
        Delta::Credential(node, [7; 32]),
        Delta::Meta { index, epoch: 1 },
    ];
    deltas.into_iter().collect()
}

fn assert_same(left: &State, right: &State) {
    assert_eq!(left.deltas(), right.deltas());
}

fn loaded(path: &Path) -> (State, Condition) {
    let (store, condition) = SledStore::open(path).unwrap();
    (store.load().unwrap(), condition)
}

/// A database with ten commits, closed; what is in it; and a copy that was taken as `kill -9` would leave it.
fn filled(folder: &Path) -> State {
    let path = folder.join("state");
    let (mut store, condition) = SledStore::open(&path).unwrap();
    assert_eq!(condition, Condition::Sound);
    for index in 1..=10 {
        store.commit(&sample(index)).unwrap();
    }
    let state = store.load().unwrap();
    copy(&path, &folder.join("killed"));
    state
}

/// Copies a store as it is.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap().flatten() {
        if file.path().is_dir() {
            copy(&file.path(), &to.join(file.file_name()));
        } else {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// The journal files of a store.
fn journals(path: &Path) -> Vec<PathBuf> {
    let is_journal = |file: &PathBuf| file.to_string_lossy().contains("journal-");
    let files = fs::read_dir(path).unwrap().flatten().map(|file| file.path());
    let mut files: Vec<_> = files.filter(is_journal).collect();
    files.sort();
    files
}

/// Has the database take over everything, as time does.
fn settled(path: &Path) {
    let (mut store, _) = SledStore::open(path).unwrap();
    store.files.as_mut().unwrap().carry_over_all().unwrap();
    let settled = path.with_extension("copy");
    copy(path, &settled);
    drop(store);
    fs::remove_dir_all(path).unwrap();
    fs::rename(settled, path).unwrap();
}

fn snapshot_of(path: &Path) -> PathBuf {
    let is_snapshot = |file: &fs::DirEntry| file.file_name().to_string_lossy().starts_with("snap.");
    fs::read_dir(path)
        .unwrap()
        .flatten()
        .find(is_snapshot)
        .expect("sled wrote a snapshot when it was closed")
        .path()
}

#[test]
fn what_was_committed_is_there_after_a_clean_end_and_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let state = filled(folder.path());
    for name in ["state", "killed"] {
        let (again, condition) = loaded(&folder.path().join(name));
        assert_eq!(condition, Condition::Sound);
        assert_same(&again, &state);
    }
    assert_eq!((state.index, state.epoch, state.versions.len()), (10, 1, 10));
}

#[test]
fn the_room_that_the_next_start_needs_is_kept_whenever_the_program_may_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let kept_in = |when: &str, copied: &str| {
        let blocks = fs::metadata(path.join("db")).unwrap().blocks();
        assert!(blocks * 512 >= open::SEGMENT, "{when}: {blocks} blocks");
        copy(&path, &folder.path().join(copied));
        loaded(&folder.path().join(copied))
    };
    let (mut store, _) = SledStore::open(&path).unwrap();
    let (state, condition) = kept_in("at the start", "started");
    assert_eq!((state.index, condition), (0, Condition::Sound));
    for index in 1..=3 {
        store.commit(&sample(index)).unwrap();
        let (state, condition) = kept_in("after a commit", &format!("committed-{index}"));
        assert_eq!((state.index, condition), (index, Condition::Sound));
        store.files.as_mut().unwrap().carry_over_all().unwrap();
        let (state, condition) = kept_in("after it was carried over", &format!("carried-{index}"));
        assert_eq!((state.index, condition), (index, Condition::Sound));
    }
}

#[test]
fn a_removal_takes_its_record_out() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = SledStore::open(&folder.path().join("state")).unwrap();
    store.commit(&sample(1)).unwrap();
    let removal = Delta::RemoveJob(job("web", 1).key());
    store
        .commit(&[removal.clone(), removal].into_iter().collect())
        .unwrap();
    let state = store.load().unwrap();
    assert!(state.jobs.is_empty() && state.versions.len() == 1);
}

#[test]
fn a_damaged_or_stray_snapshot_loses_nothing() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("zeroed", |file| {
            fs::write(file, vec![0; fs::metadata(file).unwrap().len() as usize]).unwrap()
        }),
        ("empty", |file| fs::write(file, []).unwrap()),
        ("truncated", |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("bit flipped", |file| {
            let mut bytes = fs::read(file).unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 0x10;
            fs::write(file, bytes).unwrap();
        }),
        ("stray", |file| {
            fs::write(file.with_extension("generating"), b"half of it").unwrap()
        }),
    ];
    for (name, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        let state = filled(folder.path());
        let path = folder.path().join("state");
        // A second run writes the snapshot that the first one did not need.
        drop(loaded(&path));
        damage(&snapshot_of(&path));
        let (again, condition) = loaded(&path);
        assert_same(&again, &state);
        let expected = if name == "stray" {
            Condition::Sound
        } else {
            Condition::Repaired
        };
        assert_eq!(condition, expected, "{name}");
    }
}

#[test]
fn a_null_that_is_part_of_a_job_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (mut store, _) = SledStore::open(&path).unwrap();
    let text = r#"{"ID": "web", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t",
        "Config": {"none": null, "deep": [{"none": null}]}, "Identity": {"ExtraClaims": null}}]}]}"#;
    let job: Arc<Job> = Arc::new(serde_json::from_str(text).unwrap());
    let deltas = [Delta::JobVersion(Arc::clone(&job)), Delta::Job(Arc::clone(&job))];
    store.commit(&deltas.into_iter().collect()).unwrap();
    for _ in 0..2 {
        // From the journal, then from the database.
        assert_eq!(store.load().unwrap().jobs.values().next(), Some(&job));
        store.files.as_mut().unwrap().carry_over_all().unwrap();
    }
}

#[test]
fn a_torn_log_or_journal_opens_as_it_was_after_some_commit_and_says_what_it_lacks() {
    for seed in 0..120u64 {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        let path = folder.path().join("killed");
        // In the database, or what is in front of it.
        let file = match seed < 60 {
            true => {
                settled(&path);
                path.join("db")
            }
            false => journals(&path).remove(0),
        };
        let mut bytes = fs::read(&file).unwrap();
        if seed >= 60 {
            // Behind the commits there are only zeros.
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
        }
        let mut random = IdGenerator::from_seed(seed.into());
        let at = usize::try_from(random.next_u64()).unwrap() % bytes.len();
        match seed % 3 {
            0 => bytes.truncate(at),
            1 => bytes.iter_mut().skip(at).take(512).for_each(|byte| *byte = 0),
            _ => bytes[at] ^= 1 << (random.next_u64() % 8),
        }
        fs::write(&file, bytes).unwrap();
        let (store, condition) = SledStore::open(&path).unwrap();
        let state = store.load().unwrap();
        let (index, version) = (
            state.index,
            state.jobs.values().next().map_or(0, |job| job.version()),
        );
        assert_eq!(
            (version, state.versions.len() as u64),
            (index, index),
            "{seed} {condition:?}"
        );
        // A store that was replaced says so by its condition.
        let expected = (condition != Condition::Replaced && index < 10).then_some(10);
        assert_eq!(store.newer_than(index).unwrap(), expected, "{seed} {condition:?}");
    }
}

#[test]
fn a_ruined_log_is_put_aside_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let path = folder.path().join("state");
    fs::write(path.join("conf"), b"this is no configuration of sled").unwrap();
    let (state, condition) = loaded(&path);
    assert_eq!((condition, state.index), (Condition::Replaced, 0));
    let kept = fs::read_dir(folder.path()).unwrap().flatten();
    let kept: Vec<_> = kept
        .filter(|file| file.file_name().to_string_lossy().contains("damaged"))
        .collect();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].path().join("database/db").exists());
}

#[test]
fn a_folder_that_is_deleted_again_and_again_is_written_anew_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (mut store, _) = SledStore::open(&path).unwrap();
    for index in 1..u64::from(GIVEN_UP_MAX) {
        store.commit(&sample(index)).unwrap();
        // sled may be adding a file to it.
        while path.exists() {
            let _ = fs::remove_dir_all(&path);
        }
        let error = store.commit(&sample(index)).unwrap_err();
        assert!(matches!(error, StoreError::Gone { .. }), "{error}");
        assert_eq!(store.reopen().unwrap(), Condition::Replaced);
        store.commit(&sample(index)).unwrap();
    }
    drop(store);
    assert_eq!(loaded(&path).0.index, u64::from(GIVEN_UP_MAX) - 1);
}

#[test]
fn a_record_of_a_newer_version_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = SledStore::open(&folder.path().join("state")).unwrap();
    store.commit(&sample(1)).unwrap();
    store
        .files()
        .unwrap()
        .database()
        .unwrap()
        .insert("jobs/x", b"\x02{}")
        .unwrap();
    let error = store.load().unwrap_err();
    assert!(error.to_string().contains("`jobs/x`"), "{error}");
}

#[test]
fn two_coordinators_do_not_share_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (mut store, _) = SledStore::open(&path).unwrap();
    for _ in 0..2 {
        let error = SledStore::open(&path)
            .err()
            .expect("the first one holds the lock");
        assert!(error.to_string().contains("another coordinator"), "{error}");
        // From now on the database itself is closed.
        store.commit(&sample(1)).unwrap();
        assert!(store.files().unwrap().db.is_none());
    }
}

#[test]
fn a_job_is_stored_with_its_newest_version_only_and_comes_back_as_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = SledStore::open(&folder.path().join("state")).unwrap();
    let (old, new) = (job("web", 0), job("web", 1));
    let deltas = [
        Delta::JobVersion(Arc::clone(&old)),
        Delta::JobVersion(Arc::clone(&new)),
        Delta::Job(new),
    ];
    store.commit(&deltas.into_iter().collect()).unwrap();
    store.files.as_mut().unwrap().carry_over_all().unwrap();
    let db = store.files().unwrap().database().unwrap();
    assert!(db.get("jobs/default\0web").unwrap().unwrap().len() < 100);
    drop(db);
    let state = store.load().unwrap();
    let current = state.jobs.values().next().unwrap();
    assert_eq!((current.version(), state.versions.len()), (1, 2));
    assert!(
        state
            .versions
            .values()
            .any(|version| Arc::ptr_eq(version, current)),
        "it is in memory once"
    );

    // As earlier programs wrote it.
    let mut record = vec![1];
    serde_json::to_writer(&mut record, &Delta::Job(old)).unwrap();
    let db = store.files().unwrap().database().unwrap();
    db.insert("jobs/default\0web", record).unwrap();
    drop(db);
    let state = store.load().unwrap();
    assert_eq!(state.jobs.values().next().unwrap().version(), 0);
}

#[test]
fn what_a_node_is_like_is_stored_when_it_changes_and_not_with_every_word_of_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (mut store, _) = SledStore::open(&path).unwrap();
    let id = NodeId::generate(&mut IdGenerator::from_seed(1));
    let node = |name: &str, session: u64| {
        let mut node = Node::clone(&blank(id));
        Arc::make_mut(&mut node.fingerprint).name = name.repeat(100);
        node.session = session;
        Delta::Node(Arc::new(node))
    };
    let mut sizes = Vec::new();
    for (name, session) in [("box", 1), ("box", 2), ("other", 3), ("other", 4)] {
        let before = store.files().unwrap().journal.len();
        store
            .commit(&[node(name, session)].into_iter().collect())
            .unwrap();
        sizes.push(store.files().unwrap().journal.len() - before);
        let state = store.load().unwrap();
        let there = &state.nodes[&id];
        assert_eq!((there.name(), there.session), (&*name.repeat(100), session));
    }
    assert!(
        sizes[1] + 300 < sizes[0] && sizes[3] + 300 < sizes[2],
        "{sizes:?}"
    );
    drop(store);

    // As earlier programs wrote it, over what ours have written of another node.
    let (mut store, _) = SledStore::open(&path).unwrap();
    assert_eq!(store.load().unwrap().nodes[&id].name(), "other".repeat(100));
    let old = NodeId::generate(&mut IdGenerator::from_seed(2));
    let Delta::Node(mut written) = node("old", 1) else {
        unreachable!()
    };
    Arc::make_mut(&mut written).id = old;
    let mut record = vec![1];
    serde_json::to_writer(&mut record, &Delta::Node(written)).unwrap();
    let db = store.files().unwrap().database().unwrap();
    db.insert(format!("nodes/{old}").as_bytes(), record).unwrap();
    drop(db);
    assert_eq!(store.load().unwrap().nodes[&old].name(), "old".repeat(100));

    store
        .commit(&[Delta::RemoveNode(id)].into_iter().collect())
        .unwrap();
    store.files.as_mut().unwrap().carry_over_all().unwrap();
    let db = store.files().unwrap().database().unwrap();
    assert_eq!(db.scan_prefix(b"fingerprints/").count(), 0);
}

fn blank(id: NodeId) -> Arc<Node> {
    Arc::new(Node {
        id,
        fingerprint: Arc::default(),
        status: NodeStatus::Ready,
        status_description: String::new(),
        status_since: Timestamp::ZERO,
        eligibility: Eligibility::Eligible,
        drain: None,
        last_drain: None,
        last_heard: Timestamp::ZERO,
        session: 0,
        generation: 0,
        sent_generation: 0,
        events: Vec::new(),
        create_index: 0,
        modify_index: 0,
        missed_heartbeat_index: 0,
        alloc_update_index: 0,
    })
}
