//! PostgreSQL's errors as those of the domain.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::PoolError;
use likeness_domain::{Error, Kind};
use tokio_postgres::error::SqlState;

use crate::embedded::errors::Failure as OfCodec;

/// What is said while writes are refused for want of room.
pub(super) const FULL: &str = "the disk under the database is full";

/// What a server says whose library was moved while it had it open.
pub(super) const MOVED_AWAY: &str = "the library was moved away from this database, or its tables are gone";

/// Why something inside the store did not work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The caller's business: it is passed on as it is.
    Said(Error),
    /// What the server answered, or that it does not answer any more.
    Database(tokio_postgres::Error),
    /// No connection could be had: the server cannot be reached, or all connections are busy.
    NoConnection(String),
    /// A row that cannot be what was written.
    Damaged(String),
    /// The connection broke while a commit was under way, and whether it was made could not be found out.
    InDoubt,
}

/// Result of everything below the port.
pub(crate) type Answer<T> = Result<T, Failure>;

/// For the log of whoever runs the server, not for callers.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(error) => write!(f, "{error}"),
            Self::Database(error) => f.write_str(&words_of(error)),
            Self::NoConnection(why) => f.write_str(why),
            Self::Damaged(what) => write!(f, "damaged: {what}"),
            Self::InDoubt => f.write_str("the connection broke during a commit"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Database(error),
            PoolError::Timeout(_) => Self::NoConnection("no connection was free or made in time".into()),
            other => Self::NoConnection(other.to_string()),
        }
    }
}

/// The bytes of columns are those of the embedded store, read by the same code.
impl From<OfCodec> for Failure {
    fn from(failure: OfCodec) -> Self {
        match failure {
            OfCodec::Said(error) => Self::Said(error),
            OfCodec::Damaged(what) => Self::Damaged(what),
            OfCodec::Sqlite(error) => Self::Damaged(error.to_string()),
            OfCodec::Full => Self::Damaged("the disk is full".into()),
        }
    }
}

impl Failure {
    /// The refusal `kind` with a message for the caller.
    pub(super) fn said(kind: Kind, message: impl Into<String>) -> Self {
        Self::Said(Error::new(kind, message))
    }

    /// Whether the server is not there: nothing was done, unless a commit was under way.
    pub(super) fn is_disconnection(&self) -> bool {
        match self {
            Self::NoConnection(_) => true,
            Self::Database(error) => match error.code() {
                None => error.is_closed() || has_io_error(error),
                // The server stops or starts, or it is not the one that may be written to (any more).
                Some(code) => {
                    code.code().starts_with("08")
                        || [
                            &SqlState::ADMIN_SHUTDOWN,
                            &SqlState::CRASH_SHUTDOWN,
                            &SqlState::CANNOT_CONNECT_NOW,
                            &SqlState::READ_ONLY_SQL_TRANSACTION,
                            &SqlState::TOO_MANY_CONNECTIONS,
                            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                        ]
                        .contains(&code)
                }
            },
            Self::Said(_) | Self::Damaged(_) | Self::InDoubt => false,
        }
    }

    /// Whether what was to be written had no room.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(&SqlState::DISK_FULL))
    }

    /// Whether the tables have other names by now ([`super::migration`]), or are gone.
    pub(super) fn is_moved_away(&self) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE))
    }

    /// Whether the same transaction may succeed when it is made once more: two of them were in each other's way.
    pub(super) fn is_conflict(&self) -> bool {
        let Self::Database(error) = self else { return false };
        let code = error.code();
        // A unique violation: an id or name was taken between looking and writing; the next try finds it.
        [&SqlState::T_R_SERIALIZATION_FAILURE, &SqlState::T_R_DEADLOCK_DETECTED, &SqlState::UNIQUE_VIOLATION]
            .iter()
            .any(|conflict| code == Some(conflict))
    }

    /// What whoever runs the server may do, where the database says what it lacks.
    pub(super) fn cure(&self) -> Option<&'static str> {
        let Self::Database(error) = self else { return None };
        let Some(code) = error.code() else {
            // Of several hosts none is one.
            let is_standby = has_io_error_of(error, |cause| cause.to_string().contains("does not allow writes"));
            return is_standby.then_some(STANDBY);
        };
        let cures = [
            (
                &SqlState::INVALID_PASSWORD,
                "correct the password in `store_password_file` or PGPASSWORD, or the user in `store`",
            ),
            (
                &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                "is the user in `store` one of the database's (CREATE ROLE .. LOGIN), and do the rules in `pg_hba.conf` let it in from here?",
            ),
            (
                &SqlState::INVALID_CATALOG_NAME,
                "correct the name in `store`, or make it: CREATE DATABASE .. OWNER .. ENCODING 'UTF8' TEMPLATE template0",
            ),
            (
                &SqlState::INSUFFICIENT_PRIVILEGE,
                "the user has to own the database and all of our tables in it: ALTER DATABASE .. OWNER TO .., REASSIGN OWNED BY .. TO ..",
            ),
            (
                &SqlState::TOO_MANY_CONNECTIONS,
                "it has as many connections as it takes: raise `max_connections` there (or the limit of the role or the database), or \
                 lower `store_connections` here; each server has that many and three",
            ),
            (&SqlState::DISK_FULL, "make room on the disk of the database"),
            (
                &SqlState::INVALID_SCHEMA_NAME,
                "no schema of the `search_path` is there: correct it in `options` of the address, or make the schema",
            ),
            (&SqlState::READ_ONLY_SQL_TRANSACTION, STANDBY),
            (&SqlState::CANNOT_CONNECT_NOW, "it is starting, stopping or recovering: wait until it is ready"),
        ];
        cures.iter().find(|(known, _)| *known == code).map(|(_, cure)| *cure)
    }

    /// The error for the caller; `doing` completes "cannot ...".
    pub(super) fn into_error(self, doing: &str) -> Error {
        const RETRY: &str = "try again in a moment";
        if self.is_disconnection() {
            let error = Error::new(
                Kind::Overloaded,
                format!("cannot {doing}: the database cannot be reached at the moment, {RETRY}"),
            );
            return match self {
                Self::NoConnection(why) => error.with_source(why),
                Self::Database(source) => error.with_source(words_of(&source)),
                Self::Said(_) | Self::Damaged(_) | Self::InDoubt => error,
            };
        }
        if self.is_moved_away() {
            return Error::new(Kind::Overloaded, format!("cannot {doing}: {MOVED_AWAY}"))
                .with_hint("use it where it is now; a start of this server says where that is");
        }
        match self {
            Self::Said(error) => error,
            Self::Damaged(what) => Error::internal(format!("cannot {doing}: the store is damaged"), what),
            Self::InDoubt => Error::new(
                Kind::Overloaded,
                format!(
                    "cannot {doing}: the database was lost during the commit; whether it was made is not known, look first"
                ),
            ),
            Self::NoConnection(why) => Error::new(Kind::Overloaded, format!("cannot {doing}: {why}, {RETRY}")),
            Self::Database(error) => {
                let kind = match error.code() {
                    Some(code) if *code == SqlState::DISK_FULL => Kind::StorageFull,
                    Some(code) if is_busy(code) => Kind::Overloaded,
                    _ => Kind::Internal,
                };
                let message = match kind {
                    Kind::StorageFull => format!("cannot {doing}: {FULL}"),
                    Kind::Overloaded => format!("cannot {doing}: the database is busy, {RETRY}"),
                    // Who may sign in, and to which database: nothing of what is stored.
                    _ => match error.as_db_error().filter(|said| is_of_sign_in(said.code())) {
                        Some(_) => format!("cannot {doing}: {}", words_of(&error)),
                        None if lacks_password(&error) => {
                            let message =
                                format!("cannot {doing}: the database asks for a password, and none was given");
                            return Error::new(kind, message)
                                .with_hint("give it by `store_password_file` or PGPASSWORD")
                                .with_source(words_of(&error));
                        }
                        None => format!("cannot {doing}: the database failed"),
                    },
                };
                Error::new(kind, message).with_source(words_of(&error))
            }
        }
    }
}

/// An error of the driver in words, with its causes, which its own text leaves out. Of what the server says the message and its
/// code: its details may quote a row.
fn words_of(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("the database says: {} (SQLSTATE {})", said.message(), said.code().code());
    }
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(because) = cause {
        words = format!("{words}: {because}");
        cause = because.source();
    }
    words
}

/// The hint where nothing is known of why.
pub(super) const NOT_REACHED: &str =
    "is the server running, and may this user connect with this password? Its log says why it refuses";

/// For a database that may only be read.
const STANDBY: &str = "it can only be read: a standby, or `default_transaction_read_only` is on; name the primary in `store`, or \
                       all servers of it with commas between them, and the one that can be written to is taken";

/// Whether a connection was refused on account of its user, password or database.
fn is_of_sign_in(code: &SqlState) -> bool {
    [
        &SqlState::INVALID_PASSWORD,
        &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        &SqlState::INVALID_CATALOG_NAME,
        &SqlState::INSUFFICIENT_PRIVILEGE,
    ]
    .contains(&code)
}

/// Whether the client has no password to answer with, which it says in words only.
fn lacks_password(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.to_string() == "password missing")
}

/// Whether a time limit ran out or too many transactions are in each other's way.
fn is_busy(code: &SqlState) -> bool {
    [
        &SqlState::QUERY_CANCELED,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::UNIQUE_VIOLATION,
        &SqlState::OUT_OF_MEMORY,
    ]
    .contains(&code)
}

/// Whether an error of the system is behind it that is meant.
fn has_io_error_of(error: &tokio_postgres::Error, is_meant: impl Fn(&std::io::Error) -> bool) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.downcast_ref::<std::io::Error>().is_some_and(&is_meant) {
            return true;
        }
        source = cause.source();
    }
    false
}

fn has_io_error(error: &tokio_postgres::Error) -> bool {
    if has_io_error_of(error, |_| true) {
        return true;
    }
    // "error connecting to server" and the like have their cause in words only.
    error.to_string().starts_with("error connecting") || error.to_string().starts_with("connection closed")
}

/// The pause before try number `n_tries`, from 1: short ones first, since most conflicts are over in milliseconds.
pub(super) fn pause_before(n_tries: u32) -> Duration {
    Duration::from_millis(5 << n_tries.min(7))
}
