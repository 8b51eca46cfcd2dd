//! What arrived, and what became of it.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::request::{Operation, Request};

const MAX_RECORDS: usize = 10_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A request that arrived at the emulator.
///
/// Its `Debug` shows neither signatures nor tokens.
#[derive(Clone)]
pub struct RecordedRequest {
    method: String,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
    operation: Option<Operation>,
    status: Option<u16>,
    refusal: Option<String>,
    struck_by_fault: bool,
    received_at: Instant,
}

/// The last records, and how many there ever were.
#[derive(Debug, Default)]
pub(super) struct Journal {
    records: VecDeque<RecordedRequest>,
    bytes: usize,
    total: u64,
}

impl RecordedRequest {
    pub(super) fn new(request: Request, status: Option<u16>, refusal: Option<String>) -> Self {
        Self {
            operation: request.operation(),
            method: request.method.to_string(),
            target: request.target,
            headers: request.headers,
            body: request.body,
            status,
            refusal,
            struck_by_fault: false,
            received_at: Instant::now(),
        }
    }

    pub(super) fn struck(mut self, by_fault: bool) -> Self {
        self.struck_by_fault = by_fault;
        self
    }

    /// The bytes that arrived and are kept: a client decides how many these are.
    fn size(&self) -> usize {
        let header = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        let headers: usize = self.headers.iter().map(header).sum();
        let refusal = self.refusal.as_ref().map_or(0, String::len);
        self.target.len() + headers + self.body.len() + refusal
    }

    /// The method, such as `POST`. Where no request could be read this is `GET`, and the target is
    /// empty.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The request target exactly as it was sent: path and query, escapes untouched.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The operation that method and path name, whatever became of it.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.operation
    }

    /// The text of a header, by its name in any case; `None` if it was not sent or is not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers. That of `authorization` is marked as sensitive, so `Debug` hides it.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, with any transfer coding removed.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The status that the emulator answered; `None` if a [`Fault`](super::Fault) left the request
    /// without an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Why the request was refused, if it was.
    ///
    /// Where a signature was refused this says which part of it did not match, which the service
    /// never does; the right signature is not shown.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Whether a [`Fault`](super::Fault) struck this request.
    #[must_use]
    pub fn struck_by_fault(&self) -> bool {
        self.struck_by_fault
    }

    /// When the whole request had arrived.
    #[must_use]
    pub fn received_at(&self) -> Instant {
        self.received_at
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = match self.operation {
            Some(Operation::Create | Operation::Issue) => {
                String::from_utf8_lossy(&self.body).into_owned()
            }
            // A body of the Teams exchange is a token; of others nothing is known.
            _ => format!("[{} bytes]", self.body.len()),
        };
        f.debug_struct("RecordedRequest")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("headers", &self.headers)
            .field("body", &body)
            .field("status", &self.status)
            .field("refusal", &self.refusal)
            .finish_non_exhaustive()
    }
}

impl Journal {
    pub(super) fn push(&mut self, record: RecordedRequest) {
        self.total += 1;
        self.bytes += record.size();
        self.records.push_back(record);
        while self.records.len() > MAX_RECORDS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.records.pop_front() else { return };
            self.bytes -= oldest.size();
        }
    }

    pub(super) fn records(&self) -> Vec<RecordedRequest> {
        self.records.iter().cloned().collect()
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use ureq::http::Method;

    use super::*;

    fn record(target: &str, body: &[u8]) -> RecordedRequest {
        let mut authorization = HeaderValue::from_static("CANARY");
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([(ureq::http::header::AUTHORIZATION, authorization)]);
        let request = Request {
            method: Method::POST,
            target: target.to_owned(),
            headers,
            body: body.to_owned(),
        };
        RecordedRequest::new(request, Some(200), None)
    }

    #[test]
    fn debug_shows_no_signature_and_no_token() {
        let record = record("/teamsUser/:exchangeAccessToken", b"{\"token\":\"CANARY\"}");
        assert_eq!(record.header("Authorization"), Some("CANARY"));
        let text = format!("{record:?}");
        assert!(!text.contains("CANARY"), "{text}");
        assert!(text.contains("[18 bytes]"), "{text}");
    }

    #[test]
    fn keeps_a_bounded_number_and_counts_all() {
        let mut journal = Journal::default();
        for _ in 0..MAX_RECORDS + 5 {
            journal.push(record("/", b""));
        }
        assert_eq!(journal.records().len(), MAX_RECORDS);
        assert_eq!(journal.total(), 10_005);
        journal.push(record("/", &vec![0; MAX_BYTES]));
        assert_eq!(journal.records().len(), 0);
        assert_eq!(journal.bytes, 0);
        // What is not body fills the memory as well.
        for _ in 0..2_000 {
            journal.push(record(&"a".repeat(60_000), b""));
        }
        assert_eq!(journal.records().len(), MAX_BYTES / 60_019);
    }
}
