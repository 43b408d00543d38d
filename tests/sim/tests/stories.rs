//! Stories that every build tells again; `cargo xtask sim` tells more and longer ones.

use holdfast_shared::time::Duration;
use holdfast_sim::{Config, run};

const SMALL: Config = Config {
    nodes: 6,
    duration: Duration::from_secs(6 * 3600),
    trace: false,
};

#[test]
fn no_invariant_breaks_in_a_hundred_stories() {
    let failures: Vec<String> = (0..100)
        .flat_map(|seed| {
            run(seed, SMALL)
                .violations
                .into_iter()
                .map(move |it| format!("seed {seed}: {it:?}"))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in [3, 59] {
        assert_eq!(run(seed, SMALL).hash, run(seed, SMALL).hash);
    }
}
