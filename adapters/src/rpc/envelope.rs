//! JSON-RPC's request and answer objects.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value::RawValue};

use super::{Excerpt, RpcError};

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: &'a Value,
}

impl<'a> Request<'a> {
    const fn new(id: u64, method: &'a str, params: &'a Value) -> Self {
        Self { jsonrpc: "2.0", id, method, params }
    }
}

/// Characters of a method's error message that are kept.
const MAX_MESSAGE: usize = 400;
/// Bytes of a method's error data that are kept.
const MAX_DATA: usize = 4_096;

/// The calls of one exchange: one alone, or a batch whose ids count up from `first`.
#[derive(Debug)]
pub(super) struct Question {
    first: u64,
    methods: Vec<String>,
}

impl Question {
    /// The question and the body that asks it.
    pub(super) fn new(first: u64, calls: &[(&str, &Value)]) -> (Self, Vec<u8>) {
        let methods = calls.iter().map(|(method, _)| (*method).to_owned()).collect();
        let requests: Vec<Request<'_>> = (first..)
            .zip(calls)
            .map(|(id, (method, params))| Request::new(id, method, params))
            .collect();
        // Values and strings always serialise.
        let body = match requests.as_slice() {
            [single] => serde_json::to_vec(single),
            batch => serde_json::to_vec(batch),
        };
        (Self { first, methods }, body.unwrap_or_default())
    }

    /// The first call's method, which stands for all of them.
    pub(super) fn method(&self) -> &str {
        self.methods.first().map_or("batch", String::as_str)
    }

    /// The number of calls.
    pub(super) fn calls(&self) -> u32 {
        u32::try_from(self.methods.len()).unwrap_or(u32::MAX)
    }

    /// Reads the answer. A call without an answer in it fails by itself.
    pub(super) fn read(&self, endpoint: &str, body: &[u8]) -> Result<Vec<Reply>, RpcError> {
        let outcomes = match self.methods.len() {
            1 => single(body, self.first).map(|outcome| vec![Some(outcome)]),
            count => batch(body, self.first, count),
        };
        let outcomes = outcomes.map_err(|fault| fault.into_error(endpoint, self.method(), body))?;
        let reply = |(outcome, method): (Option<Outcome<'_>>, &String)| match outcome {
            Some(Ok(result)) => Ok(result.to_owned()),
            Some(Err(error)) => Err(error.into_error(endpoint, method)),
            None => Err(RpcError::Malformed {
                endpoint: endpoint.into(),
                method: method.clone(),
                expected: "an answer to every call of the batch".into(),
            }),
        };
        Ok(outcomes.into_iter().zip(&self.methods).map(reply).collect())
    }
}

/// What a call came to, kept.
pub(super) type Reply = Result<Box<RawValue>, RpcError>;

/// A method's own error.
#[derive(Debug, Deserialize)]
struct MethodError<'a> {
    #[serde(default)]
    code: i64,
    #[serde(default, borrow)]
    message: Cow<'a, str>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

impl MethodError<'_> {
    fn into_error(self, endpoint: &str, method: &str) -> RpcError {
        let data = self.data.filter(|data| data.get().len() <= MAX_DATA);
        RpcError::Server {
            endpoint: endpoint.into(),
            method: method.into(),
            code: self.code,
            message: Excerpt::of_length(self.message.as_bytes(), MAX_MESSAGE).into_inner(),
            data: data.and_then(|data| serde_json::from_str(data.get()).ok()),
        }
    }
}

/// What a call came to.
type Outcome<'a> = Result<&'a RawValue, MethodError<'a>>;

#[derive(Debug, Deserialize)]
struct Response<'a> {
    #[serde(default)]
    id: Option<Value>,
    // A present null is a result, an absent field is none: plain `Option` would not tell them apart.
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default, borrow)]
    error: Option<MethodError<'a>>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Why a body is no answer to what was asked.
#[derive(Debug)]
enum Fault {
    NotJson,
    Shape(String),
    /// The whole batch was answered by one error.
    Whole(i64, String),
}

impl Fault {
    fn into_error(self, endpoint: &str, method: &str, body: &[u8]) -> RpcError {
        let (endpoint, method) = (endpoint.to_owned(), method.to_owned());
        match self {
            Self::NotJson => RpcError::NotJson { endpoint, method, body: Excerpt::of(body) },
            Self::Shape(expected) => RpcError::Malformed { endpoint, method, expected },
            Self::Whole(code, message) => {
                let message = Excerpt::of(message.as_bytes()).into_inner();
                RpcError::Server { endpoint, method, code, message, data: None }
            }
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], expected: &str) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        // Cut off in the middle, it is as unreadable as another format.
        if error.is_data() { Fault::Shape(format!("{expected} ({error})")) } else { Fault::NotJson }
    })
}

fn outcome(response: Response<'_>) -> Result<Outcome<'_>, Fault> {
    match (response.error, response.result) {
        (Some(error), _) => Ok(Err(error)),
        (None, Some(result)) => Ok(Ok(result)),
        (None, None) => Err(Fault::Shape("a `result` or an `error`".into())),
    }
}

/// Reads the answer to call `id`.
fn single(body: &[u8], id: u64) -> Result<Outcome<'_>, Fault> {
    let response: Response<'_> = parse(body, "a JSON-RPC response object")?;
    match &response.id {
        Some(found) if found.as_u64() == Some(id) => outcome(response),
        // A server that could not read the request answers with the id null.
        Some(Value::Null) | None if response.error.is_some() => outcome(response),
        found => {
            let found = found.as_ref().map_or_else(|| "none".into(), ToString::to_string);
            let found = Excerpt::of(found.as_bytes());
            Err(Fault::Shape(format!("the answer to call {id}, got the id {found}")))
        }
    }
}

/// Reads the answers to calls `first..first + count`, which may come in any order; `None` where one is
/// missing.
fn batch(body: &[u8], first: u64, count: usize) -> Result<Vec<Option<Outcome<'_>>>, Fault> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
        let response: Response<'_> = parse(body, "a JSON-RPC batch")?;
        return Err(match response.error {
            Some(error) => Fault::Whole(error.code, error.message.into_owned()),
            None => Fault::Shape("a JSON-RPC batch, got a single answer".into()),
        });
    }
    let responses: Vec<Response<'_>> = parse(body, "a JSON-RPC batch")?;
    let mut outcomes: Vec<Option<Outcome<'_>>> = Vec::new();
    outcomes.resize_with(count, || None);
    for response in responses {
        let id = response.id.as_ref().and_then(Value::as_u64);
        let place = id.and_then(|id| usize::try_from(id.checked_sub(first)?).ok());
        match place.and_then(|place| outcomes.get_mut(place)) {
            Some(slot @ None) => *slot = Some(outcome(response)?),
            _ => {
                let id = response.id.map_or_else(|| "none".into(), |id| id.to_string());
                let id = Excerpt::of(id.as_bytes());
                return Err(Fault::Shape(format!("one answer to each call, got the id {id}")));
            }
        }
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_may_come_in_any_order_and_incomplete() {
        let body = br#" [{"id":9,"result":null},{"id":7,"error":{"code":-8,"message":"m"}}]"#;
        let got = batch(body, 7, 3).unwrap();
        assert!(matches!(&got[0], Some(Err(error)) if error.code == -8 && error.message == "m"));
        assert!(got[1].is_none());
        assert!(matches!(&got[2], Some(Ok(raw)) if raw.get() == "null"));
    }

    #[test]
    fn wrong_ids_and_shapes_are_refused() {
        let cases: [&[u8]; 6] = [
            br#"[{"id":6,"result":1}]"#,
            br#"[{"id":7,"result":1},{"id":7,"result":1}]"#,
            br#"[{"id":"7","result":1}]"#,
            br#"[{"result":1}]"#,
            br#"[{"id":7}]"#,
            br#"{"id":7,"result":1}"#,
        ];
        for case in cases {
            assert!(matches!(batch(case, 7, 2), Err(Fault::Shape(_))), "{case:?}");
        }
        assert!(matches!(batch(b"<html>", 7, 2), Err(Fault::NotJson)));
        assert!(matches!(batch(br#"[{"id":7,"resu"#, 7, 2), Err(Fault::NotJson)));
        let whole = batch(br#"{"id":null,"error":{"code":-32600,"message":"no"}}"#, 7, 2);
        assert!(matches!(whole, Err(Fault::Whole(-32600, _))));
    }

    #[test]
    fn single_answers_must_carry_the_id() {
        assert!(matches!(single(br#"{"id":1,"result":null,"error":null}"#, 1), Ok(Ok(_))));
        assert!(matches!(single(br#"{"id":2,"result":1}"#, 1), Err(Fault::Shape(_))));
        assert!(matches!(single(br#"{"id":1}"#, 1), Err(Fault::Shape(_))));
        assert!(matches!(single(br#"{"id":null,"error":{"code":1}}"#, 1), Ok(Err(_))));
        assert!(matches!(single(b"[]", 1), Err(Fault::Shape(_) | Fault::NotJson)));
    }
}
