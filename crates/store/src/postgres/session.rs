//! Connections: made, kept, handed out and given up.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use likeness_domain::{Error, Result};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use super::address::Address;
use super::errors::{Answer, Failure};

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection of the pool, for one transaction or statement at a time.
pub(super) struct Session(Object);

impl Session {
    async fn prepared(&self, sql: &str) -> Answer<Statement> {
        Ok(self.0.prepare_cached(sql).await?)
    }

    /// Every row of the answer.
    pub(super) async fn query(&self, sql: &str, values: Values<'_>) -> Answer<Vec<Row>> {
        let statement = self.prepared(sql).await?;
        Ok(self.0.query(&statement, values).await?)
    }

    /// The first row of the answer, if there is one.
    pub(super) async fn first(&self, sql: &str, values: Values<'_>) -> Answer<Option<Row>> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// The one row of the answer.
    pub(super) async fn one(&self, sql: &str, values: Values<'_>) -> Answer<Row> {
        let statement = self.prepared(sql).await?;
        Ok(self.0.query_one(&statement, values).await?)
    }

    /// Whether the answer has a row.
    pub(super) async fn exists(&self, sql: &str, values: Values<'_>) -> Answer<bool> {
        Ok(self.first(sql, values).await?.is_some())
    }

    /// Rows changed.
    pub(super) async fn execute(&self, sql: &str, values: Values<'_>) -> Answer<u64> {
        let statement = self.prepared(sql).await?;
        Ok(self.0.execute(&statement, values).await?)
    }

    /// Statements without values.
    pub(super) async fn batch(&self, sql: &str) -> Answer<()> {
        Ok(self.0.batch_execute(sql).await?)
    }

    /// A `COPY ... FROM STDIN BINARY` that takes whole rows.
    pub(super) async fn copy_in(&self, sql: &str) -> Answer<tokio_postgres::CopyInSink<bytes::Bytes>> {
        let statement = self.prepared(sql).await?;
        Ok(self.0.copy_in(&statement).await?)
    }

    /// Ends a transaction without its effects. A connection that cannot do that is not used again.
    pub(super) async fn roll_back(self) {
        if self.0.batch_execute("ROLLBACK").await.is_err() {
            self.give_up();
        }
    }

    /// Closes the connection instead of handing it to somebody else: nobody knows what it is doing.
    pub(super) fn give_up(self) {
        drop(Object::take(self.0));
    }

    /// The connection as the driver has it.
    pub(super) fn client(&self) -> &Client {
        &self.0
    }
}

/// Where the database is and how many connections are kept to it.
pub(super) struct Database {
    address: Address,
    pool: Pool,
    /// Why the server could not be reached when it was tried last.
    trouble: Mutex<Option<String>>,
}

impl Database {
    /// No connection is made before the first is asked for.
    pub(super) fn new(address: Address, n_connections: usize, wait_max: Duration) -> Result<Self> {
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
        Ok(Self { address, pool, trouble: Mutex::new(None) })
    }

    /// Where it is, without a password, for people.
    pub(super) fn shown(&self) -> &str {
        &self.address.shown
    }

    /// A connection that nobody else uses meanwhile.
    pub(super) async fn session(&self) -> Answer<Session> {
        let session = self.pool.get().await.map_err(Failure::from);
        self.note(session.as_ref().err());
        Ok(Session(session?))
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
