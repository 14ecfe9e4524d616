//! Connections: made, kept, handed out and given up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use likeness_domain::{Error, Kind, Result};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type, WrongType};
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use super::address::Address;
use super::errors::{Answer, Failure};

/// Values of a statement.
pub(super) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// How much longer than the database's own limit for a statement its answer is waited for: whoever is alive says by itself that
/// the time is over.
pub(super) const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// A connection of the pool, for one transaction or statement at a time. One that is dropped while the server has yet to
/// answer is closed: whoever had it next would wait behind that answer.
///
/// Behind a pooler in transaction mode it leads to another process of the server after each transaction, perhaps of another
/// server. So nothing outlives a transaction: statements are not prepared, and one that stands alone gets a transaction that a
/// standby refuses, as what was asked of the primary before says nothing about who answers now.
pub(super) struct Session {
    object: Option<Object>,
    /// How long an answer is waited for; `None` for work that has no limit.
    answer_max: Option<Duration>,
    /// Set until the answer is there.
    is_asked: AtomicBool,
    /// Whether there is such a pooler.
    is_pooled: bool,
    is_in_transaction: AtomicBool,
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

    /// Sends a statement and, unless there is a transaction already, one around it, without waiting in between.
    async fn alone<T>(
        &self,
        statement: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Answer<T> {
        if self.is_in_transaction.load(Ordering::Relaxed) {
            return Ok(statement.await?);
        }
        let (begun, answer, ended) = tokio::join!(
            biased;
            self.object().batch_execute("BEGIN READ WRITE"),
            statement,
            self.object().batch_execute("COMMIT"),
        );
        begun.map_err(refused_by_standby)?;
        let answer = answer?;
        ended?;
        Ok(answer)
    }

    /// Every row of the answer.
    pub(super) async fn query(&self, sql: &str, values: Values<'_>) -> Answer<Vec<Row>> {
        let asked = async {
            if self.is_pooled {
                return self.alone(self.object().query_typed(sql, &typed(values)?)).await;
            }
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
            if self.is_pooled {
                return self.alone(self.object().query_typed_one(sql, &typed(values)?)).await;
            }
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
            if self.is_pooled {
                return self.alone(self.object().execute_typed(sql, &typed(values)?)).await;
            }
            let statement = self.object().prepare_cached(sql).await?;
            Ok(self.object().execute(&statement, values).await?)
        };
        self.in_time(asked).await
    }

    /// Statements without values. A transaction begins with the first of them or ends with the last.
    pub(super) async fn batch(&self, sql: &str) -> Answer<()> {
        let begins = sql.starts_with("BEGIN");
        if begins {
            self.is_in_transaction.store(true, Ordering::Relaxed);
        }
        let asked = async {
            let done = self.object().batch_execute(sql).await;
            done.map_err(|error| if begins { refused_by_standby(error) } else { error.into() })
        };
        let done = self.in_time(asked).await;
        if sql.starts_with("COMMIT") || sql.starts_with("ROLLBACK") || sql.ends_with("COMMIT") {
            self.is_in_transaction.store(false, Ordering::Relaxed);
        }
        done
    }

    /// Opens a transaction whose statements see one state.
    pub(super) async fn begin_snapshot(&self) -> Answer<()> {
        // A standby may be behind.
        let access = if self.is_pooled { "READ WRITE" } else { "READ ONLY" };
        self.batch(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ {access}")).await
    }

    /// A `COPY ... FROM STDIN BINARY` that takes whole rows. All of it belongs into [`Self::in_time`]: a server that does not
    /// read is noticed between the rows.
    pub(super) async fn copy_in(&self, sql: &str) -> Answer<tokio_postgres::CopyInSink<bytes::Bytes>> {
        // Where it is prepared for this once, the server is told to forget it after the rows and before the transaction ends.
        let statement = match self.is_pooled {
            true => self.object().prepare(sql).await?,
            false => self.object().prepare_cached(sql).await?,
        };
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

/// A standby refuses to begin a transaction that may write.
fn refused_by_standby(error: tokio_postgres::Error) -> Failure {
    match error.code() {
        Some(&SqlState::FEATURE_NOT_SUPPORTED) => {
            Failure::NoConnection("the server that answers is a standby".to_owned())
        }
        _ => error.into(),
    }
}

/// Values with the types that a server would find for them: each of ours has one.
fn typed<'a>(values: Values<'a>) -> Answer<Vec<(&'a (dyn ToSql + Sync), Type)>> {
    const TYPES: &[Type] = &[
        Type::INT8,
        Type::BYTEA,
        Type::TEXT,
        Type::INT4,
        Type::BOOL,
        Type::INT8_ARRAY,
        Type::BYTEA_ARRAY,
        Type::TEXT_ARRAY,
        Type::FLOAT8,
        Type::FLOAT4,
        Type::INT4_ARRAY,
        Type::BOOL_ARRAY,
        Type::FLOAT8_ARRAY,
        Type::INT2,
    ];
    let mut scratch = BytesMut::new();
    let mut type_of = |value: &(dyn ToSql + Sync)| {
        TYPES.iter().find(|ty| {
            scratch.clear();
            !value.to_sql_checked(ty, &mut scratch).is_err_and(|error| error.is::<WrongType>())
        })
    };
    let typed = values.iter().map(|&value| Some((value, type_of(value)?.clone())));
    typed.collect::<Option<_>>().ok_or_else(|| Failure::Damaged("a value of a statement has no type".to_owned()))
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
    room: Mutex<Room>,
}

/// Whether the disk under the database has room.
#[derive(Default)]
struct Room {
    /// What was written last that takes room, or was tried, says that there is none.
    is_full: bool,
    /// How often something said so.
    n_refused: u64,
    /// When it was looked at last without somebody writing.
    looked_at: Option<Instant>,
}

/// Pause between two looks at a disk that had room; one that had none is looked at whenever somebody asks.
const ROOM_PAUSE: Duration = Duration::from_secs(10);

/// Writes something over 1 MiB to a temporary file beside the tables and forgets it, inside a transaction: the failure of a full
/// disk if that has no room for it. No table and no log grows by it. A small change of a row says nothing, as it fits into a
/// page that is there.
pub(super) async fn need_room(session: &Session) -> Answer<()> {
    session.batch("SET LOCAL work_mem = '64kB'; SET LOCAL temp_tablespaces = ''; SAVEPOINT before_room").await?;
    let sql = "SELECT count(*) FROM (SELECT repeat(n::text, 256) AS word FROM generate_series(1000, 2099) AS n
                                     ORDER BY word) AS spilled";
    match session.one(sql, &[]).await {
        // Whoever runs the server allows no such files, which says nothing about its disk.
        Err(Failure::Database(error)) if error.code() == Some(&SqlState::CONFIGURATION_LIMIT_EXCEEDED) => {
            session.batch("ROLLBACK TO before_room").await
        }
        written => written.map(drop),
    }
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
        Ok(Self { address, pool, answer_max, trouble: Mutex::new(None), room: Mutex::default() })
    }

    /// Where it is, without a password, for people.
    pub(super) fn shown(&self) -> &str {
        &self.address.shown
    }

    /// A connection that nobody else uses meanwhile.
    pub(super) async fn session(&self) -> Answer<Session> {
        let session = self.pool.get().await.map_err(Failure::from);
        self.note(session.as_ref().err());
        Ok(Session {
            object: Some(session?),
            answer_max: self.answer_max,
            is_asked: AtomicBool::new(false),
            is_pooled: self.is_pooled(),
            is_in_transaction: AtomicBool::new(false),
        })
    }

    /// The server did not answer: connections that lie in the pool are not used again.
    pub(super) fn distrust(&self) {
        distrust(&self.pool);
    }

    /// Whether connections lead to another process of the server after each transaction.
    pub(super) fn is_pooled(&self) -> bool {
        self.address.is_pooled
    }

    /// Refuses a pooler in transaction mode that the address does not tell of: locks that show which servers are alive would
    /// stay with its connections, and prepared statements get lost. Two connections that are open have two processes, and
    /// each keeps its own.
    pub(super) async fn refuse_hidden_pooler(&self) -> Answer<()> {
        if self.is_pooled() {
            return Ok(());
        }
        let first = self.session().await?;
        let (second, connection) = self.connect().await?;
        let driver = tokio::spawn(connection);
        let looked = async {
            let before = process_of(first.client()).await?;
            second.batch_execute("BEGIN").await?;
            Ok(before == process_of(&second).await? || before != process_of(first.client()).await?)
        };
        let is_shared: Answer<bool> = first.in_time(looked).await;
        driver.abort();
        if is_shared? {
            let message = "the address of the database leads to a pooler in transaction mode and does not say so, \
                           where locks and prepared statements get lost";
            return Err(Error::new(Kind::InvalidArgument, message)
                .with_hint(
                    "add `pool_mode=transaction` to the address (`postgres://...?pool_mode=transaction`), or give that of the \
                     database itself",
                )
                .into());
        }
        Ok(())
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
                if trouble.is_none() {
                    tracing::warn!(database = self.shown(), why = %failure, "the database cannot be reached");
                }
                // `/readyz` tells it to everybody, whom neither address nor user concern.
                *trouble = Some("the database cannot be reached; the server's log says where it is and why".to_owned());
            }
            Some(failure) if failure.is_disk_full() => {
                let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
                room.n_refused += 1;
                if !std::mem::replace(&mut room.is_full, true) {
                    tracing::warn!(database = self.shown(), why = %failure, "the disk under the database is full");
                }
            }
            Some(_) => {}
        }
    }

    /// What [`Self::note_room`] is to be told if it is time to look whether there is room ([`need_room`]), as it always is where
    /// there was none.
    pub(super) fn room_due(&self) -> Option<u64> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if !room.is_full && room.looked_at.is_some_and(|at| at.elapsed() < ROOM_PAUSE) {
            return None;
        }
        room.looked_at = Some(Instant::now());
        Some(room.n_refused)
    }

    /// There is room, unless something was refused since that look was due.
    pub(super) fn note_room(&self, due: u64) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        if room.n_refused == due && std::mem::take(&mut room.is_full) {
            tracing::info!(database = self.shown(), "the disk under the database has room again");
        }
    }

    /// Whether there was none when something was written last that takes room, or was tried.
    pub(super) fn is_full(&self) -> bool {
        self.room.lock().unwrap_or_else(PoisonError::into_inner).is_full
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

/// The number of the process that answers.
async fn process_of(client: &Client) -> Answer<Option<String>> {
    let said = client.simple_query("SELECT pg_backend_pid()").await?;
    Ok(said.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
