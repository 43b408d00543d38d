//! Bodies of requests: JSON in which a null means the same as nothing, unless said otherwise.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::Problem;

/// What is in a body.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut value = parse(bytes)?;
    strip_nulls(&mut value);
    decode(&value)
}

/// What is in a body in which a null says something.
pub(super) fn read_with_nulls<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    decode(&parse(bytes)?)
}

fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        // The words of the original, which clients know.
        Problem::bad_request(if error.is_eof() {
            "unexpected EOF".to_owned()
        } else {
            format!("invalid JSON: {error}")
        })
    })
}

fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, reason) = (error.path().to_string(), error.inner().to_string());
        Problem::bad_request(if path == "." {
            reason
        } else {
            format!("{path}: {reason}")
        })
    })
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use holdfast_api::{JobRegisterRequest, NodeMetaRequest};

    use super::*;

    #[test]
    fn nulls_of_meta_take_keys_away() {
        let text = br#"{"NodeID": null, "Meta": {"color": "blue", "rack": null}}"#;
        let request: NodeMetaRequest = read_with_nulls(text).unwrap();
        let expected = [("color", Some("blue")), ("rack", None)];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.map(str::to_owned)));
        assert_eq!(request.meta, expected.into());
    }

    #[test]
    fn nulls_are_nothing_and_mistakes_name_their_place() {
        let request_in = |text: &str| read::<JobRegisterRequest>(text.as_bytes());
        let request = request_in(
            r#"{"Job": {"ID": "web", "TaskGroups": [{"Name": "a", "Tasks": null}], "Priority": null}}"#,
        );
        assert_eq!(request.unwrap().job.unwrap().id(), "web");
        for (text, expected) in [
            ("{", "unexpected EOF"),
            ("", "unexpected EOF"),
            ("{]", "invalid JSON: key must be a string at line 1 column 2"),
            (
                r#"{"Job": {"TaskGroups": [{"Count": "many"}]}}"#,
                "Job.TaskGroups[0].Count: invalid type: string \"many\", expected i64",
            ),
        ] {
            assert_eq!(request_in(text).unwrap_err(), Problem::bad_request(expected));
        }
    }
}
