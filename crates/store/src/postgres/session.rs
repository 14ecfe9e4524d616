//! Connections: made, kept, handed out and given up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use likeness_domain::{Error, Result};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::address::Address;
use super::errors::{Answer, Failure};

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How much longer than the database's own limit for a statement its answer is waited for: whoever is alive says by itself that
/// the time is over.
pub(super) const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// A connection of the pool, for one transaction or statement at a time. One that is dropped while the server has yet to
/// answer is closed: whoever had it next would wait behind that answer.
pub(super) struct Session {
    object: Option<Object>,
    /// How long an answer is waited for; `None` for work that has no limit.
    answer_max: Option<Duration>,
    /// Set until the answer is there.
    is_asked: AtomicBool,
}

impl Session {
    /// The same connection for statements that may take as long as they take.
    pub(super) fn without_limit(mut self) -> Self {
        self.answer_max = None;
        self
    }

    fn object(&self) -> &Object {
        let Some(object) = &self.object else { unreachable!("it is taken only by the end") };
        object
    }

    /// What the server answers, within the time for an answer: one that is stopped, or gone without a word, is waited for no
    /// longer, and no connection that lies in the pool is used again either.
    pub(super) async fn in_time<T>(&self, asked: impl Future<Output = Answer<T>>) -> Answer<T> {
        self.is_asked.store(true, Ordering::SeqCst);
        let answer = match self.answer_max {
            None => asked.await,
            Some(answer_max) => match tokio::time::timeout(answer_max, asked).await {
                Ok(answer) => answer,
                Err(_) => {
                    if let Some(pool) = Object::pool(self.object()) {
                        distrust(&pool);
                    }
                    return Err(Failure::NoConnection("the database did not answer in time".into()));
                }
            },
        };
        self.is_asked.store(false, Ordering::SeqCst);
        answer
    }

    /// Every row of the answer.
    pub(super) async fn query(&self, sql: &str, values: Values<'_>) -> Answer<Vec<Row>> {
        let asked = async {
            let statement = self.object().prepare_cached(sql).await?;
            Ok(self.object().query(&statement, values).await?)
        };
        self.in_time(asked).await
    }

    /// The first row of the answer, if there is one.
    pub(super) async fn first(&self, sql: &str, values: Values<'_>) -> Answer<Option<Row>> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// The one row of the answer.
    pub(super) async fn one(&self, sql: &str, values: Values<'_>) -> Answer<Row> {
        let asked = async {
            let statement = self.object().prepare_cached(sql).await?;
            Ok(self.object().query_one(&statement, values).await?)
        };
        self.in_time(asked).await
    }

    /// Whether the answer has a row.
    pub(super) async fn exists(&self, sql: &str, values: Values<'_>) -> Answer<bool> {
        Ok(self.first(sql, values).await?.is_some())
    }

    /// Rows changed.
    pub(super) async fn execute(&self, sql: &str, values: Values<'_>) -> Answer<u64> {
        let asked = async {
            let statement = self.object().prepare_cached(sql).await?;
            Ok(self.object().execute(&statement, values).await?)
        };
        self.in_time(asked).await
    }

    /// Statements without values.
    pub(super) async fn batch(&self, sql: &str) -> Answer<()> {
        self.in_time(async { Ok(self.object().batch_execute(sql).await?) }).await
    }

    /// A `COPY ... FROM STDIN BINARY` that takes whole rows. All of it belongs into [`Self::in_time`]: a server that does not
    /// read is noticed between the rows.
    pub(super) async fn copy_in(&self, sql: &str) -> Answer<tokio_postgres::CopyInSink<bytes::Bytes>> {
        let statement = self.object().prepare_cached(sql).await?;
        Ok(self.object().copy_in(&statement).await?)
    }

    /// Ends a transaction without its effects. A connection that cannot do that is not used again.
    pub(super) async fn roll_back(self) {
        // One that has not answered yet does not answer this either.
        if self.is_asked.load(Ordering::SeqCst) || self.batch("ROLLBACK").await.is_err() {
            self.give_up();
        }
    }

    /// Closes the connection instead of handing it to somebody else: nobody knows what it is doing.
    pub(super) fn give_up(mut self) {
        self.object.take().map(Object::take);
    }

    /// The connection as the driver has it, for work that has no limit.
    pub(super) fn client(&self) -> &Client {
        self.object()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_asked.load(Ordering::SeqCst) {
            self.object.take().map(Object::take);
        }
    }
}

/// Closes what lies in the pool.
fn distrust(pool: &Pool) {
    pool.retain(|_, _| false);
}

/// Where the database is and how many connections are kept to it.
pub(super) struct Database {
    address: Address,
    pool: Pool,
    /// How long an answer is waited for.
    answer_max: Option<Duration>,
    /// Why the server could not be reached when it was tried last.
    trouble: Mutex<Option<String>>,
}

impl Database {
    /// No connection is made before the first is asked for. One is waited for during `wait_max`, and an answer during
    /// `answer_max` if there is such a limit.
    pub(super) fn new(
        address: Address,
        n_connections: usize,
        wait_max: Duration,
        answer_max: Option<Duration>,
    ) -> Result<Self> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config.clone(), address.tls.clone(), config);
        let pool = Pool::builder(manager)
            .max_size(n_connections.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(wait_max))
            .create_timeout(Some(wait_max))
            .recycle_timeout(Some(wait_max))
            .build()
            .map_err(|error| Error::internal("cannot make the pool of connections", error.to_string()))?;
        Ok(Self { address, pool, answer_max, trouble: Mutex::new(None) })
    }

    /// Where it is, without a password, for people.
    pub(super) fn shown(&self) -> &str {
        &self.address.shown
    }

    /// A connection that nobody else uses meanwhile.
    pub(super) async fn session(&self) -> Answer<Session> {
        let session = self.pool.get().await.map_err(Failure::from);
        self.note(session.as_ref().err());
        Ok(Session { object: Some(session?), answer_max: self.answer_max, is_asked: AtomicBool::new(false) })
    }

    /// The server did not answer: connections that lie in the pool are not used again.
    pub(super) fn distrust(&self) {
        distrust(&self.pool);
    }

    /// A connection besides those of the pool, with the part of it that has to be driven.
    pub(super) async fn connect(
        &self,
    ) -> Answer<(Client, tokio_postgres::Connection<tokio_postgres::Socket, super::tls::Stream>)> {
        let connected = self.address.config.connect(self.address.tls.clone()).await.map_err(Failure::from);
        self.note(connected.as_ref().err());
        connected
    }

    /// Remembers whether the server was there when it was asked last.
    pub(super) fn note(&self, failure: Option<&Failure>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            None => *trouble = None,
            Some(failure) if failure.is_disconnection() => {
                let why = match failure {
                    Failure::NoConnection(why) => why.clone(),
                    Failure::Database(error) => error.to_string(),
                    Failure::Said(_) | Failure::Damaged(_) | Failure::InDoubt => String::new(),
                };
                if trouble.is_none() {
                    tracing::warn!(database = self.shown(), why, "the database cannot be reached");
                }
                // `/readyz` tells it to everybody, whom neither address nor user concern.
                *trouble = Some("the database cannot be reached; the server's log says where it is and why".to_owned());
            }
            Some(_) => {}
        }
    }

    /// Why the server could not be reached when it was tried last; `None` if it could.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends every connection of the pool as soon as it is given back.
    pub(super) fn close(&self) {
        self.pool.close();
    }
}
