//! What becomes of a job of several regions in one that knows no other.

use holdfast_shared::model::Job;

/// What there is to say of the regions that nobody runs the job in.
///
/// # Errors
/// When `region` is none of the job's: nothing of it could run.
pub(super) fn of(job: &Job, region: &str) -> Result<Option<String>, String> {
    let regions = job.multiregion.iter().flat_map(|it| it.regions.iter().flatten());
    let names: Vec<&str> = regions.map(|it| it.name.as_str()).collect();
    let (own, others): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| **name == region);
    if others.is_empty() {
        return Ok(None);
    }
    let others = others
        .iter()
        .map(|name| format!("{name:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    if own.is_empty() {
        return Err(format!(
            "job {:?} is for the regions {others}, and this is region {region:?}: deployments over regions are not \
             available yet; register it in one of them, or remove its multiregion block",
            job.id()
        ));
    }
    Ok(Some(format!(
        "job {:?} runs in region {region:?} only: deployments over regions are not available yet, and nothing happens \
         in {others}",
        job.id()
    )))
}

#[cfg(test)]
mod tests {
    use holdfast_shared::model::{Multiregion, MultiregionRegion};

    use super::*;

    fn job(regions: &[&str]) -> Job {
        let region = |name: &&str| MultiregionRegion {
            name: (*name).to_owned(),
            ..MultiregionRegion::default()
        };
        Job {
            id: Some("web".into()),
            multiregion: Some(Multiregion {
                regions: Some(regions.iter().map(region).collect()),
                ..Multiregion::default()
            }),
            ..Job::default()
        }
    }

    #[test]
    fn a_job_of_other_regions_is_refused_and_one_of_several_runs_here_only() {
        assert_eq!(of(&Job::default(), "west"), Ok(None));
        assert_eq!(of(&job(&["west"]), "west"), Ok(None));
        let note = of(&job(&["west", "east", "south"]), "west").unwrap().unwrap();
        assert!(
            note.contains("region \"west\" only") && note.contains("\"east\", \"south\""),
            "{note}"
        );
        let error = of(&job(&["west", "east"]), "global").unwrap_err();
        assert!(
            error.contains("\"west\", \"east\", and this is region \"global\""),
            "{error}"
        );
    }
}
