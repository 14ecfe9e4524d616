//! What the log says of a call that was not done.

use std::fmt::Debug;

use likeness_domain::Error;

use super::trace;

/// A call that was not done. What is absent here is absent from the line.
pub(crate) struct FailedCall<'a> {
    /// Name of the dialect.
    pub(crate) dialect: &'static str,
    /// The operation, if the request was for one.
    pub(crate) operation: Option<&'a dyn Debug>,
    /// Id of the request.
    pub(crate) request_id: &'a str,
    /// Id in the answer, where the vendor has ids of its own.
    pub(crate) answer_id: Option<&'a str>,
    /// HTTP status of the answer.
    pub(crate) status: u16,
    /// The vendor's code.
    pub(crate) code: &'a str,
    /// The failed library call.
    pub(crate) source: Option<&'a Error>,
    /// What may be logged of what was answered: no secret, nobody's name.
    pub(crate) message: &'a str,
}

impl FailedCall<'_> {
    /// Has the line of the request say it: as an error, with what lies below, if the fault is the server's; as a warning if
    /// an operator has a hint. Where nobody writes that line it gets one of its own.
    pub(crate) fn log(self, is_fault: bool) {
        let Self { dialect, operation, request_id, answer_id, status, code, source, message } = self;
        trace::refused(source, is_fault);
        trace::refused_early(dialect, operation);
        let hint = source.and_then(Error::hint);
        let is_noted = trace::failed(trace::Failure {
            is_fault,
            code: code.to_owned(),
            reason: message.to_owned(),
            source: source.filter(|_| is_fault).map(|source| format!("{source:?}")),
            hint: hint.map(str::to_owned),
            answer_id: answer_id.map(str::to_owned),
        });
        if is_noted {
            return;
        }
        let operation = operation.map(tracing::field::debug);
        if is_fault {
            let source = source.map(tracing::field::debug);
            tracing::error!(dialect, operation, request_id, answer_id, status, code, source, hint, "{message}");
        } else if hint.is_some() {
            tracing::warn!(dialect, operation, request_id, answer_id, status, code, hint, "{message}");
        } else {
            tracing::info!(dialect, operation, request_id, answer_id, status, code, "{message}");
        }
    }
}
