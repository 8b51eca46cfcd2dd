//! What arrived, and what became of it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::SystemTime;

use serde_json::json;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::clock::dotnet_rfc3339;
use super::redaction::redacted;
use super::request::{Operation, Request};

const MAX_RECORDS: usize = 10_000;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A request that arrived at the emulator.
///
/// `Display` writes it as a line for a log, and so does `Debug`. Neither shows headers, bodies, or what looks
/// like a key of Azure's or a token in the target.
#[derive(Clone)]
pub struct RecordedRequest {
    request: Request,
    status: Option<u16>,
    refusal: Option<String>,
    pub(super) struck_by_fault: bool,
    time: SystemTime,
}

/// The last records, and how many there ever were.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) records: VecDeque<RecordedRequest>,
    bytes: usize,
    pub(super) counts: HashMap<Option<Operation>, u64>,
}

impl RecordedRequest {
    pub(super) fn new(
        request: Request,
        time: SystemTime,
        status: Option<u16>,
        refusal: Option<String>,
    ) -> Self {
        let refusal = refusal.map(|refusal| redacted(&refusal));
        Self { request, status, refusal, struck_by_fault: false, time }
    }

    /// One line of JSON for a log, with the members `time`, `method`, `target`, `operation`,
    /// `status`, `fault`, `refusal` and `clientRequestId`, of which those without a value are null.
    #[must_use]
    pub fn to_json(&self) -> String {
        let record = json!({
            "time": self.time_text(),
            "method": self.method(),
            "target": redacted(self.target()),
            "operation": self.operation().map(Operation::name),
            "status": self.status,
            "fault": self.struck_by_fault,
            "refusal": self.refusal,
            "clientRequestId": self.header("x-ms-client-request-id").map(redacted),
        });
        record.to_string()
    }

    /// RFC 3339 in UTC with milliseconds.
    fn time_text(&self) -> String {
        let since_epoch = self.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (text, millis) = (dotnet_rfc3339(self.time), since_epoch.subsec_millis());
        format!("{}.{millis:03}Z", text.get(..19).unwrap_or_default())
    }

    /// The bytes that arrived and are kept: a client decides how many these are.
    fn size(&self) -> usize {
        let header = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
        let headers: usize = self.headers().iter().map(header).sum();
        let refusal = self.refusal.as_ref().map_or(0, String::len);
        self.target().len() + headers + self.body().len() + refusal
    }

    /// The method, such as `POST`. Where no request could be read this is `GET`, and the target is
    /// empty.
    #[must_use]
    pub fn method(&self) -> &str {
        self.request.method.as_str()
    }

    /// The request target exactly as it was sent: path and query, escapes untouched.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.request.target
    }

    /// The operation that method and path name, whatever became of it.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.request.operation()
    }

    /// The text of a header, by its name in any case; `None` if it was not sent or is not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }

    /// All headers. Those of `authorization` are marked as sensitive, so `Debug` hides them.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    /// The body, with any transfer coding removed.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.request.body
    }

    /// The status of the response; `None` if a [`Fault`](super::Fault) left the request without one, or TLS
    /// failed.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Why the request was refused, if it was.
    ///
    /// For a wrong signature, this says which part does not match, which the service never does. The
    /// right signature is not shown.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Whether a [`Fault`](super::Fault) struck this request.
    #[must_use]
    pub fn struck_by_fault(&self) -> bool {
        self.struck_by_fault
    }

    /// When the whole request had arrived, by the emulator's clock.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        self.time
    }
}

impl fmt::Display for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.target() {
            "" => "something unreadable".to_owned(),
            target => format!("{} {}", self.method(), redacted(target)),
        };
        let status = self.status.map_or("no response".to_owned(), |status| status.to_string());
        let fault = if self.struck_by_fault { " (fault)" } else { "" };
        let refusal = self.refusal().map(|refusal| format!(" ({refusal})")).unwrap_or_default();
        let line = format!("{} {what} -> {status}{fault}{refusal}", self.time_text());
        // Without what a terminal would obey.
        f.write_str(&line.replace(char::is_control, "\u{fffd}"))
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecordedRequest").field(&format_args!("{self}")).finish()
    }
}

impl Journal {
    pub(super) fn push(&mut self, record: RecordedRequest) {
        *self.counts.entry(record.operation()).or_default() += 1;
        self.bytes += record.size();
        self.records.push_back(record);
        while self.records.len() > MAX_RECORDS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.records.pop_front() else { return };
            self.bytes -= oldest.size();
        }
    }

    pub(super) fn count(&self, operation: Operation) -> u64 {
        self.counts.get(&Some(operation)).copied().unwrap_or_default()
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
            ..Request::default()
        };
        RecordedRequest::new(request, SystemTime::UNIX_EPOCH, Some(200), None)
    }

    #[test]
    fn record_shows_no_signature_and_no_token_in_debug() {
        let record = record("/teamsUser/:exchangeAccessToken", b"{\"token\":\"CANARY\"}");
        assert_eq!(record.header("Authorization"), Some("CANARY"));
        let text = format!("{record:?}");
        assert!(!text.contains("CANARY"), "{text}");
        assert!(text.contains("POST /teamsUser/:exchangeAccessToken -> 200"), "{text}");
    }

    #[test]
    fn journal_keeps_a_bounded_number_and_counts_all() {
        let mut journal = Journal::default();
        for _ in 0..MAX_RECORDS + 5 {
            journal.push(record("/", b""));
        }
        assert_eq!(journal.records.len(), MAX_RECORDS);
        assert_eq!(journal.counts.values().sum::<u64>(), 10_005);
        let rest = MAX_BYTES - record("/", b"").size();
        for (length, kept) in [(rest, 1), (rest + 1, 0)] {
            journal.push(record("/", &vec![0; length]));
            assert_eq!(journal.records.len(), kept);
        }
        assert_eq!(journal.bytes, 0);
        for _ in 0..2_000 {
            journal.push(record(&"a".repeat(60_000), b""));
        }
        assert_eq!(journal.records.len(), 64 * 1024 * 1024 / 60_019);
    }

    /// All that a client decides the length of fills the memory.
    #[test]
    fn record_has_the_size_of_its_texts() {
        let mut record = record("/abc", b"12345");
        record.refusal = Some("no".to_owned());
        let headers: Vec<_> = record.headers().iter().collect();
        assert_eq!(headers.len(), 1);
        assert_eq!(record.size(), "/abc".len() + "authorizationCANARY".len() + 5 + 2);
    }
}
