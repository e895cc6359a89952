//! `POST /v1/attest`: who may ask, how often, and how much.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use alloy_primitives::{B256, keccak256};
use axum::{
    Json,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use grid_adapters::Secret;
use tokio::sync::Semaphore;

use super::{AttestAnswer, AttestRequest, Attester};
use crate::{
    clock::now_ms,
    http::{ApiError, Code},
    metrics::Metrics,
};

/// Largest question, in bytes.
const MAX_BODY: usize = 1_024;

/// Time for reading a question and answering it.
const DEADLINE: Duration = Duration::from_secs(3);

/// Questions that are answered at the same time.
const AT_ONCE: usize = 8;

/// Questions that one token may ask in a second, on average.
const PER_SECOND: u64 = 20;

/// Questions that it may ask at once after a quiet time.
const BURST: u64 = 40;

/// Thousandths of a question: what a bucket counts in.
const WHOLE: u64 = 1_000;

/// One token's allowance.
#[derive(Debug)]
struct Bucket {
    left: u64,
    at: u64,
}

impl Bucket {
    /// Takes one question out at a time in milliseconds; `false` when none is left.
    fn take(&mut self, now: u64) -> bool {
        let gained = now.saturating_sub(self.at).saturating_mul(PER_SECOND);
        self.left = self.left.saturating_add(gained).min(BURST * WHOLE);
        self.at = now;
        match self.left.checked_sub(WHOLE) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[derive(Debug)]
struct Door {
    /// Hashes are compared, so that the time of a comparison says nothing about the token.
    token: B256,
    bucket: Mutex<Bucket>,
}

/// Answers other relayers.
#[derive(Debug)]
pub(crate) struct AttestService {
    attester: Arc<Attester>,
    doors: RwLock<Vec<Arc<Door>>>,
    places: Semaphore,
    metrics: Arc<Metrics>,
}

impl AttestService {
    pub(crate) fn new(attester: Arc<Attester>, tokens: &[Secret], metrics: Arc<Metrics>) -> Self {
        let doors = RwLock::default();
        let service = Self { attester, doors, places: Semaphore::new(AT_ONCE), metrics };
        service.set_tokens(tokens);
        service
    }

    pub(crate) fn attester(&self) -> &Attester {
        &self.attester
    }

    /// Who may ask from now on. Who could before keeps what is left of its allowance.
    pub(crate) fn set_tokens(&self, tokens: &[Secret]) {
        let mut doors = self.doors.write().unwrap_or_else(PoisonError::into_inner);
        let door = |token: &Secret| {
            let token = keccak256(token.expose());
            let known = doors.iter().find(|door| door.token == token).cloned();
            known.unwrap_or_else(|| {
                let bucket = Mutex::new(Bucket { left: BURST * WHOLE, at: 0 });
                Arc::new(Door { token, bucket })
            })
        };
        let new = tokens.iter().map(door).collect();
        *doors = new;
    }

    fn doors(&self) -> Vec<Arc<Door>> {
        self.doors.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers one HTTP request. Nothing of its body is read before the token is known.
    pub(crate) async fn serve(&self, request: Request) -> Response {
        let doors = self.doors();
        if doors.is_empty() {
            let error = "nobody may ask for signatures here: relayer.attest_tokens is empty";
            return failure(Code::NotFound, error);
        }
        let Some(door) = door(&doors, request.headers()) else {
            self.metrics.attest_answer("", "unauthorized");
            return failure(Code::Unauthorized, "a bearer token is needed");
        };
        let allowed = door.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(now_ms());
        let Some(_place) = self.places.try_acquire().ok().filter(|_| allowed) else {
            return self.answered(None, &AttestAnswer::Busy);
        };
        let Ok(response) = tokio::time::timeout(DEADLINE, self.read_and_answer(request)).await
        else {
            return failure(Code::Timeout, "the question came too slowly");
        };
        response
    }

    async fn read_and_answer(&self, request: Request) -> Response {
        let Ok(body) = axum::body::to_bytes(request.into_body(), MAX_BODY).await else {
            let error = format!("a question has at most {MAX_BODY} bytes");
            return failure(Code::TooLarge, &error);
        };
        match serde_json::from_slice::<AttestRequest>(&body) {
            Ok(question) => {
                let answer = self.attester.answer(&question, now_ms()).await;
                self.answered(Some(&question), &answer)
            }
            Err(error) => failure(Code::BadRequest, &error.to_string()),
        }
    }

    fn answered(&self, question: Option<&AttestRequest>, answer: &AttestAnswer) -> Response {
        // Labels are bounded: only chains that are attested here are named.
        let chain = question.map(|question| &question.chain);
        let chain = chain.filter(|chain| self.attester.attests(chain));
        self.metrics.attest_answer(chain.map_or("", |chain| chain.as_str()), answer.label());
        let status = match answer {
            AttestAnswer::Signed { .. } => StatusCode::OK,
            AttestAnswer::Unknown => StatusCode::NOT_FOUND,
            AttestAnswer::Unable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            AttestAnswer::Busy => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::CONFLICT,
        };
        (status, Json(answer)).into_response()
    }
}

fn door<'a>(doors: &'a [Arc<Door>], headers: &HeaderMap) -> Option<&'a Door> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let given = keccak256(given);
    doors.iter().map(Arc::as_ref).find(|door| door.token == given)
}

fn failure(code: Code, error: &str) -> Response {
    ApiError::new(code, error).into_response()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_sequence_of_questions_exceeds_burst_and_rate(
            steps in proptest::collection::vec(0_u64..400, 1..400)
        ) {
            let mut bucket = Bucket { left: BURST * WHOLE, at: 0 };
            let (mut now, mut taken) = (0, 0);
            for step in steps {
                now += step;
                taken += u64::from(bucket.take(now));
                prop_assert!(taken <= BURST + now * PER_SECOND / 1_000);
            }
        }
    }

    #[test]
    fn a_quiet_token_has_its_burst_back_and_no_more() {
        let mut bucket = Bucket { left: 0, at: 0 };
        assert!(!bucket.take(0));
        let taken = (0..1_000).filter(|_| bucket.take(3_600_000)).count();
        assert_eq!(taken as u64, BURST);
    }
}
