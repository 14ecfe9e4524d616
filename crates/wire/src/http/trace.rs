//! What the log says of a request besides its outcome: who asked for what.

use likeness_domain::access::Caller;
use tracing::Span;
use tracing::field::display;

/// Writes into the line of this request, which the listener began, who asks for which operation of which dialect; a path
/// that is the operation's name need not be named again.
pub(crate) fn admitted(dialect: &'static str, operation: Option<&'static str>, caller: &Caller) {
    let span = Span::current();
    span.record("dialect", dialect).record("tenant", display(caller.tenant));
    if let Some(operation) = operation {
        span.record("operation", operation);
    }
    if let Some(key) = &caller.key {
        span.record("key", key.as_str());
    }
}
