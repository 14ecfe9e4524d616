//! What the log and the metrics say of a request besides its outcome: who asked for what, and why it was refused.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Debug;

use likeness_domain::access::Caller;
use likeness_domain::{Error, Kind};
use tracing::Span;
use tracing::field::{debug, display};

use super::codes::code_of;

/// What became known of a request while it was answered. All but the failure comes from our own tables, none from the
/// client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The dialect that its path belongs to.
    pub dialect: Option<&'static str>,
    /// The operation, once the caller was admitted.
    pub operation: Option<Cow<'static, str>>,
    /// Why it was refused: the code that the native API has for it.
    pub refusal: Option<&'static str>,
    /// What the request's line in the log says of its failure.
    pub failure: Option<Failure>,
    /// Whether the span of the request names the dialect already.
    pub is_named: bool,
}

impl Observed {
    /// What is known of a request whose handling ended in a panic. Its message is in the log already, under the same id.
    pub fn panicked() -> Self {
        let failure = Failure {
            is_fault: true,
            code: code_of(Kind::Internal).to_owned(),
            reason: "the request made the server panic".to_owned(),
            ..Failure::default()
        };
        Self { refusal: Some(code_of(Kind::Internal)), failure: Some(failure), ..Self::default() }
    }
}

/// Why a request was not done, for the operator. It has no secret and nobody's name. What is absent here is absent from
/// the line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// Whether the server is at fault.
    pub is_fault: bool,
    /// The code in the answer.
    pub code: String,
    /// What may be logged of what was answered; may be empty.
    pub reason: String,
    /// The failed library call and what lies below it, if the server is at fault.
    pub source: Option<String>,
    /// What an operator may do.
    pub hint: Option<String>,
    /// Id in the answer, where the vendor has ids of its own.
    pub answer_id: Option<String>,
}

tokio::task_local! {
    static OBSERVED: RefCell<Observed>;
}

/// Runs what answers a request, and says what became known meanwhile.
pub async fn observed<F: Future>(answering: F) -> (F::Output, Observed) {
    let watched = async {
        let answer = answering.await;
        (answer, OBSERVED.with(|observed| observed.borrow().clone()))
    };
    OBSERVED.scope(RefCell::default(), watched).await
}

fn note(change: impl FnOnce(&mut Observed)) {
    // Nobody watches in tests of a dialect alone, and in work that outlives its request.
    let _ = OBSERVED.try_with(|observed| change(&mut observed.borrow_mut()));
}

/// Notes which dialect a request is for.
pub(crate) fn addressed(dialect: &'static str) {
    note(|observed| observed.dialect = Some(dialect));
}

/// Notes which operation of the native API a request is for, by the pattern of its path.
pub(crate) fn asked_for(operation: String) {
    Span::current().record("operation", operation.as_str());
    note(|observed| observed.operation = Some(operation.into()));
}

/// Notes why a request is refused: by the failed call, or without one by whether the fault is the server's.
pub(crate) fn refused(source: Option<&Error>, is_fault: bool) {
    let reason = match source {
        Some(error) => code_of(error.kind()),
        None if is_fault => code_of(Kind::Internal),
        None => "request",
    };
    note(|observed| observed.refusal = Some(reason));
}

/// Notes the code that a request is refused with, where it is another one than that of the failed call.
pub(crate) fn refused_as(code: &'static str) {
    note(|observed| observed.refusal = Some(code));
}

/// Notes what the line of this request is to say of its failure; whether somebody writes that line.
pub(crate) fn failed(failure: Failure) -> bool {
    OBSERVED.try_with(|observed| observed.borrow_mut().failure = Some(failure)).is_ok()
}

/// Names in the line of this request what it is for, where it was refused before its caller was known.
pub(crate) fn refused_early(dialect: &'static str, operation: Option<&dyn Debug>) {
    let _ = OBSERVED.try_with(|observed| {
        let mut observed = observed.borrow_mut();
        let span = Span::current();
        if !observed.is_named {
            observed.is_named = true;
            span.record("dialect", dialect);
            if let Some(operation) = operation.filter(|_| observed.operation.is_none()) {
                span.record("operation", debug(operation));
            }
        }
    });
}

/// Writes into the line of this request, which the listener began, who asks for which operation of which dialect; a path
/// that is the operation's name need not be named again.
pub(crate) fn admitted(dialect: &'static str, operation: Option<&'static str>, caller: &Caller) {
    let span = Span::current();
    span.record("dialect", dialect).record("tenant", display(caller.tenant));
    note(|observed| {
        observed.dialect = Some(dialect);
        observed.is_named = true;
    });
    if let Some(operation) = operation {
        note(|observed| observed.operation = Some(operation.into()));
        span.record("operation", operation);
    }
    if let Some(key) = &caller.key {
        span.record("key", key.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_noted_while_a_request_is_answered_is_observed() {
        let answering = async {
            addressed("huawei");
            asked_for("GET /x".to_owned());
            refused(Some(&Error::new(Kind::FaceNotFound, "no such face")), false);
            7
        };
        let (answer, found) = observed(answering).await;
        assert_eq!(answer, 7);
        assert_eq!((found.dialect, found.operation.as_deref()), (Some("huawei"), Some("GET /x")));
        assert_eq!(found.refusal, Some("face_not_found"));
        addressed("aliyun");
        assert_eq!(observed(async {}).await.1, Observed::default(), "nothing of other requests");
    }

    #[tokio::test]
    async fn a_failure_is_left_to_whoever_writes_the_requests_line() {
        let failure = Failure { code: "FRS.0023".to_owned(), ..Failure::default() };
        let (is_noted, found) = observed(async { failed(failure.clone()) }).await;
        assert!(is_noted);
        assert_eq!(found.failure, Some(failure.clone()));
        assert!(!failed(failure), "nobody would write it");
    }

    #[tokio::test]
    async fn a_refusal_without_a_failed_call_is_the_requests_or_the_servers() {
        assert_eq!(observed(async { refused(None, false) }).await.1.refusal, Some("request"));
        assert_eq!(observed(async { refused(None, true) }).await.1.refusal, Some("internal"));
    }
}
