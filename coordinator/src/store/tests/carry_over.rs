//! What the journal holds moves into the database: before, meanwhile, in part and after a kill.

use super::*;
use crate::store::carry_over::{Commits, Piece, Work};

#[test]
fn what_is_carried_over_is_the_same_before_meanwhile_and_after_a_kill_and_leaves_no_journal() {
    let folder = tempfile::tempdir().unwrap();
    let state = filled(folder.path());
    let path = folder.path().join("killed");
    assert_eq!(journals(&path).len(), 1);
    let (mut store, _) = SledStore::open(&path).unwrap();
    store.commit(&sample(11)).unwrap();
    // What the last life left is on its way by now.
    assert!(matches!(store.load(), Err(StoreError::Closed)));
    store.commit(&sample(12)).unwrap();
    store.files.as_mut().unwrap().await_carry_over().unwrap();
    let then = store.load().unwrap();
    assert_eq!((then.index, then.versions.len()), (12, 12));
    store
        .commit(&[Delta::RemoveJob(job("web", 1).key())].into_iter().collect())
        .unwrap();
    store.files.as_mut().unwrap().carry_over_all().unwrap();
    assert_eq!(journals(&path), Vec::<PathBuf>::new());
    let after = store.load().unwrap();
    assert_eq!((after.index, after.jobs.len(), after.versions.len()), (12, 0, 12));
    store.commit(&sample(13)).unwrap();
    let last = store.load().unwrap();
    drop(store);
    assert_eq!(
        journals(&path),
        Vec::<PathBuf>::new(),
        "an orderly end leaves none"
    );
    assert_same(&loaded(&path).0, &last);
    assert_same(&loaded(&folder.path().join("state")).0, &state);
}

#[test]
fn commits_that_are_carried_over_twice_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = filled(folder.path());
    let path = folder.path().join("killed");
    let (kept, journal) = (folder.path().join("kept"), journals(&path).remove(0));
    fs::copy(&journal, &kept).unwrap();
    settled(&path);
    // Killed before the file was removed.
    fs::copy(&kept, &journal).unwrap();
    assert_same(&loaded(&path).0, &state);
}

/// A commit that is so large that a few of them are carried over in one step.
fn large(index: u64) -> Batch {
    let mut job = Job::clone(&job(&format!("web-{:02}", index % 40), 1));
    let meta = format!("{index} ").repeat(10_000);
    job.meta = Some([("text".to_owned(), meta)].into());
    let meta = Delta::Meta { index, epoch: 1 };
    [Delta::JobVersion(Arc::new(job)), meta].into_iter().collect()
}

fn keys(path: &Path) -> Vec<String> {
    let db = open::open(path).unwrap().db;
    db.iter()
        .map(|entry| String::from_utf8_lossy(&entry.unwrap().0).into_owned())
        .collect()
}

#[test]
fn large_records_have_no_files_of_their_own_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (mut store, _) = SledStore::open(&path).unwrap();
    for rounds in [1..=100, 101..=200, 201..=300] {
        rounds.for_each(|index| store.commit(&large(index)).unwrap());
        store.files.as_mut().unwrap().carry_over_all().unwrap();
        // sled neither flushes nor, in some cases, removes them.
        assert_eq!(fs::read_dir(path.join("blobs")).unwrap().count(), 0);
    }
    let state = store.load().unwrap();
    assert_eq!(state.versions.len(), 40);
    drop(store);
    assert!(keys(&path).len() > 40 * 10, "they are in chunks");
    let (mut store, condition) = SledStore::open(&path).unwrap();
    assert_eq!(condition, Condition::Sound);
    assert_same(&store.load().unwrap(), &state);
    let versions = state.versions.keys().cloned();
    let removed = versions.map(|(job, version)| Delta::RemoveJobVersion(job, version));
    store.commit(&removed.collect()).unwrap();
    drop(store);
    assert_eq!(keys(&path), ["journal", "meta/meta"]);
}

#[test]
fn a_record_that_is_there_in_part_is_lost_and_the_database_in_doubt_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (mut store, _) = SledStore::open(&path).unwrap();
    (1..=40).for_each(|index| store.commit(&large(index)).unwrap());
    let state = store.load().unwrap();
    drop(store);
    let db = open::open(&path).unwrap().db;
    // Of each of two records one chunk is of another time, or is not there.
    let chunks: Vec<_> = db.scan_prefix("chunk/").keys().flatten().collect();
    let second = chunks.last().unwrap().clone();
    db.insert(&chunks[0], db.get(&chunks[1]).unwrap().unwrap())
        .unwrap();
    db.remove(&second).unwrap();
    drop(db);
    let (mut store, condition) = SledStore::open(&path).unwrap();
    assert_eq!(condition, Condition::Repaired);
    let left = store.load().unwrap();
    assert_eq!(left.versions.len(), 38);
    // One of them is stored anew with what settles the doubt.
    let (lost, _) = state.versions.iter().next().unwrap();
    assert!(!left.versions.contains_key(lost));
    let again = Delta::JobVersion(Arc::clone(&state.versions[lost]));
    store.commit(&[again].into_iter().collect()).unwrap();
    drop(store);
    let (after, condition) = loaded(&path);
    assert_eq!((condition, after.versions.len()), (Condition::Sound, 39));
    assert_eq!(after.versions[lost], state.versions[lost]);
    let second = String::from_utf8_lossy(&second[..second.len() - 2]).into_owned();
    assert!(!keys(&path).iter().any(|key| key.starts_with(&second)));
}

#[test]
fn a_record_that_is_there_in_part_and_newer_in_the_journal_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (mut store, _) = SledStore::open(&path).unwrap();
    store.commit(&large(1)).unwrap();
    store.files.as_mut().unwrap().carry_over_all().unwrap();
    store.commit(&large(41)).unwrap();
    let state = store.load().unwrap();
    // Killed before that was carried over.
    let killed = folder.path().join("killed");
    copy(&path, &killed);
    let db = open::open(&killed).unwrap().db;
    let chunk = db.scan_prefix("chunk/").keys().next().unwrap().unwrap();
    db.remove(chunk).unwrap();
    drop(db);
    let (mut store, condition) = SledStore::open(&killed).unwrap();
    assert_eq!(condition, Condition::Repaired);
    assert_same(&store.load().unwrap(), &state);
    let meta = Delta::Meta { index: 42, epoch: 1 };
    store.commit(&[meta].into_iter().collect()).unwrap();
    drop(store);
    let (after, condition) = loaded(&killed);
    assert_eq!((condition, after.versions), (Condition::Sound, state.versions));
}

#[test]
fn what_was_carried_over_in_part_is_whole_with_its_journal_and_in_doubt_without() {
    let folder = tempfile::tempdir().unwrap();
    let [running, started, killed] = ["state", "started", "killed"].map(|name| folder.path().join(name));
    let (mut store, _) = SledStore::open(&running).unwrap();
    (1..=100).for_each(|index| store.commit(&large(index)).unwrap());
    let whole = store.load().unwrap();
    copy(&running, &started);
    let journal = journals(&started).remove(0);
    // The end of the journal cannot be read: that is as far as it comes before it is killed.
    let torn = folder.path().join("torn");
    let bytes = fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    fs::write(&torn, &bytes[..end * 95 / 100]).unwrap();
    let (mut work, piece) = piece(&started, &journal);
    assert!(matches!(work.take(piece, &[torn]), Err(StoreError::Flush { .. })));
    work.db().unwrap().flush().unwrap();
    copy(&started, &killed);
    drop(work);
    let (store, condition) = SledStore::open(&killed).unwrap();
    assert_eq!(condition, Condition::Sound);
    assert_same(&store.load().unwrap(), &whole);
    std::mem::forget(store);
    drop(SledStore::open(&started).unwrap());
    assert_eq!(journals(&started), Vec::<PathBuf>::new());
    assert_same(&loaded(&started).0, &whole);
    let lost = folder.path().join("lost");
    copy(&killed, &lost);
    fs::remove_file(journals(&lost).remove(0)).unwrap();
    let (state, condition) = loaded(&lost);
    assert_eq!(condition, Condition::Repaired);
    assert!(
        (1..40).contains(&state.versions.len()),
        "{}",
        state.versions.len()
    );
}

/// All commits of a journal, and who is to carry them over.
fn piece(folder: &Path, journal: &Path) -> (Work, Piece) {
    let db = open::open(folder).unwrap().db;
    let files = [journal.to_owned()];
    let mut commits = Commits::after(0, &files);
    let piece = Piece::next(&mut commits).unwrap();
    let work = Work {
        log: File::open(folder.join("db")).unwrap(),
        db: Some(db),
        folder: folder.to_owned(),
        last: commits.position,
        claim: Arc::default(),
    };
    (work, piece)
}

#[test]
fn commits_behind_missing_ones_are_put_aside_and_not_applied() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let path = folder.path().join("killed");
    let (mut store, _) = SledStore::open(&path).unwrap();
    store.commit(&sample(11)).unwrap();
    std::mem::forget(store.files.take());
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for file in ["conf", "db", "newest-index"] {
        fs::copy(path.join(file), copy.join(file)).unwrap();
    }
    // The first ten commits are gone with their file.
    let newest = journals(&path).pop().unwrap();
    fs::copy(&newest, copy.join(newest.file_name().unwrap())).unwrap();
    let (store, condition) = SledStore::open(&copy).unwrap();
    let state = store.load().unwrap();
    assert_eq!((condition, state.jobs.len()), (Condition::Sound, 0));
    assert_eq!(store.newer_than(state.index).unwrap(), Some(11));
    let aside = fs::read_dir(folder.path()).unwrap().flatten();
    let aside: Vec<_> = aside
        .filter(|it| it.file_name().to_string_lossy().contains("copy.damaged-"))
        .collect();
    assert_eq!(journals(&aside[0].path()).len(), 1);
}
