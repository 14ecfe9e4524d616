//! `likeness serve`: open the library, answer until told to stop.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use clap::Args;
use likeness_domain::access::Access;
use likeness_domain::ports::{Clock, GalleryStore, JobStore, ScrubStep};
use likeness_domain::{Error, Repeated};
use likeness_wire::http::budget::BodyBudget;
use likeness_wire::http::json;
use likeness_wire::{Readiness, ReadyCheck, Services, native};
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::STORE_PATH;
use super::{quickstart, terminal};
use crate::assemble::{self, Opened, SOCKET_FILE};
use crate::config::{Config, RawConfig, Scrub};
use crate::console;
use crate::facts::Facts;
use crate::guard;
use crate::index_check::with_index_check;
use crate::listener::{self, LargeRequests, Service, Socket};
use crate::metrics::{Metrics, Sources, with_metrics};
use crate::outcome::{Outcome, Verdict, failed};
use crate::running::{self, Running};
use crate::system::{SystemClock, SystemIds};
use crate::telemetry;
use crate::tls::{self, Tls};
use crate::traces::Exporter;
use crate::video;

/// Connections of commands on this machine, and of health checks on a port of their own.
const FEW_CONNECTIONS: usize = 64;

/// Bytes of a socket's path, by the system.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How often it is looked whether memory that request bodies have left can go back to the system, and how much of it is
/// worth the work.
const TRIM_EVERY: Duration = Duration::from_secs(5);
const TRIM_BYTES_MIN: usize = 32 << 20;

/// How often held faces whose time is over are erased. No answer has one of them.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// From the start to the first step of reading every row again, and between two tries where it fails: a start has enough to do.
const SCRUB_DELAY: Duration = Duration::from_secs(60);

/// How often it is looked whether the next pass is due: the machine's clock may be set.
const SCRUB_LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Steps of reading every row again in a second.
const SCRUB_STEPS_PER_SECOND: u64 = 10;

/// How often it is stored when access keys were used last.
const STORE_USES_EVERY: Duration = Duration::from_secs(60);

/// Answer clients until told to stop.
#[derive(Debug, Args)]
#[command(
    after_help = "Without tls.certificate the server speaks plain HTTP: keep it on 127.0.0.1 then, or put a proxy with TLS before it. Every call \
                        needs an access key (`likeness key create`, or --quickstart). Its data folder must be its owner's \
                        alone, and it writes no memory dumps. docs/security.md says what protects against whom.\n\n\
                        Example: likeness serve --data /srv/faces --listen 127.0.0.1:7080"
)]
pub(crate) struct ServeArgs {
    /// Address and port to answer on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Second address and port, which answers health checks and /metrics only
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_operations: Option<String>,
    /// Allow images to be fetched from this host although its address is private or its port unusual (repeatable)
    #[arg(long, value_name = "HOST:PORT")]
    fetch_allow: Vec<String>,
    /// On the first start make a tenant and a key, and show what to do with them
    #[arg(long)]
    quickstart: bool,
}

impl ServeArgs {
    /// The settings among the flags.
    pub(super) fn settings(&self, raw: &mut RawConfig) {
        raw.set_flag("listen", "--listen", self.listen.as_deref());
        raw.set_flag("listen_operations", "--listen-operations", self.listen_operations.as_deref());
        raw.set_flag_list("fetch.allow", "--fetch-allow", &self.fetch_allow);
    }
}

/// Runs the server.
pub(crate) async fn run(
    args: ServeArgs,
    config: &Config,
    resolved: &RawConfig,
    resolve: &Resolve,
    exporter: Option<Exporter>,
) -> Outcome {
    guard::forbid_memory_dumps()?;
    let exporting = exporter.map(Exporter::start);
    // Signals are heard from here on, so that a stop during a long start is a clean one too.
    let (stop, stopping) = watch::channel(false);
    let stopped_early = stop_on_signal(stop)?;
    // From here on SIGHUP does not end the process.
    let hang_ups =
        signal(SignalKind::hangup()).map_err(|error| failed(format!("cannot listen for signals: {error}")))?;
    // Before the port, so that nobody meets a server without its certificate.
    let tls = Tls::open(&config.tls)?;
    if tls.as_ref().and_then(|tls| tls.validity()).is_some_and(|validity| !validity.holds(SystemTime::now())) {
        tracing::warn!("the certificate of `tls.certificate` has expired, or is not valid yet; clients will refuse it");
    }
    // The port comes before the models: a busy one should be reported at once. Clients that are early wait.
    let listener = bind(config.general.listen).await?;
    let local = |listener: &TcpListener| {
        listener.local_addr().map_err(|error| failed(format!("cannot read the bound port: {error}")))
    };
    let address = local(&listener)?;
    let operations = match config.general.listen_operations {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let operations_address = operations.as_ref().map(local).transpose()?;
    let opened = tokio::select! {
        opened = assemble::open(config, true) => opened?,
        () = stopped_early => return Ok(Verdict::Done),
    };
    let quickstart = match args.quickstart {
        true => Some(quickstart::prepare(&*opened.credentials, config.data()?, &url(address, tls.is_some())).await?),
        false => None,
    };

    let packs: Vec<String> = opened.library.packs().iter().map(|pack| pack.id.to_string()).collect();
    let (version, packs, data) = (env!("CARGO_PKG_VERSION"), packs.join(", "), config.data()?.display());
    tracing::info!(version, packs, %data, "the library is open");
    for warning in guard::warnings(config, &*opened.credentials).await? {
        tracing::warn!("{warning}");
    }
    let (is_stopping, parts) = (stopping.clone(), Arc::clone(&opened.parts));
    let ready: ReadyCheck = Arc::new(move || {
        let (is_stopping, parts) = (is_stopping.clone(), Arc::clone(&parts));
        Box::pin(async move {
            let readiness = parts.look().await;
            let refusal = is_stopping.borrow().then(|| "the server is stopping".to_owned());
            Readiness { refusal, ..readiness }
        })
    });
    let budget = config.listener.body_budget();
    let metrics = Metrics::new();
    let sources = Arc::new(Sources {
        library: Arc::clone(&opened.library),
        store: Arc::clone(&opened.store),
        index: Arc::clone(&opened.index),
        budget: Arc::clone(&budget),
    });
    let facts = Arc::new(Facts::new(resolved.clone(), Arc::clone(&metrics), Arc::clone(&sources)));
    let wire = Services { server: Some(Arc::clone(&facts) as _), ..opened.wire(config, ready) };
    match opened.jobs.void_leases(SystemClock.now()).await {
        Ok(0) => {}
        Ok(n_jobs) => tracing::info!(n_jobs, "jobs that an earlier process had begun are taken up"),
        // They are due when their time is over.
        Err(error) => tracing::warn!(%error, "jobs that an earlier process had begun wait for their time"),
    }
    let mut workers = JoinSet::new();
    for worker in likeness_wire::workers(wire.clone()) {
        for _ in 0..worker.n_at_once {
            let (jobs, handler) = (Arc::clone(&opened.jobs), Arc::clone(&worker.handler));
            workers.spawn(async move { jobs.work(&*handler).await });
        }
    }
    let ids = Arc::new(SystemIds);
    let large =
        LargeRequests::start().map_err(|error| failed(format!("cannot start threads for requests: {error}")))?;
    let large = Arc::new(large);
    let few = listener::Settings { connections_max: FEW_CONNECTIONS, ..config.listener.clone() };
    let plain = |router| Service {
        router,
        ids: ids.clone(),
        large: Arc::clone(&large),
        budget: None,
        metrics: Arc::clone(&metrics),
        tls: None,
    };
    let operations = async {
        let Some(listener) = operations else { return 0 };
        let router = likeness_wire::operations_router(wire.clone());
        let router = with_metrics(router, Arc::clone(&metrics), Arc::clone(&sources));
        listener::serve(Socket::Tcp(listener), plain(router), &few, stopping.clone()).await
    };
    let mut router = likeness_wire::router(wire.clone());
    if config.general.console {
        router = console::mount(router);
    }
    router = listener::cors::allow(router, &config.listener.cors_origins);
    let service = Service { budget: Some(Arc::clone(&budget)), tls: tls.clone(), ..plain(router) };
    let network = listener::serve(Socket::Tcp(listener), service, &config.listener, stopping.clone());
    let socket_path = config.data()?.join(SOCKET_FILE);
    // Bound before the line below is printed: whoever waits for that line may run a command next.
    let socket = match bind_for_owner(&socket_path) {
        Ok(socket) => Some(socket),
        Err(error) => {
            tracing::warn!(%error, "commands on this machine cannot reach this server");
            None
        }
    };
    warn_of_clips(video::confinement(&config.video).await);
    let commands = async {
        let Some(socket) = socket else { return 0 };
        let (store, index) = (Arc::clone(&opened.store), Arc::clone(&opened.index));
        let console = console::address_router(url(address, tls.is_some()), config.general.console);
        let router = opened.native_router(Some(Arc::clone(&facts) as _)).merge(console);
        let router = with_index_check(router, store, index, Arc::clone(&opened.credentials));
        let router_of_library = with_metrics(router, Arc::clone(&metrics), Arc::clone(&sources));
        let library = config.general.store.clone().unwrap_or_default();
        let (facts, for_faces) = (Arc::clone(&facts), Arc::clone(&opened.library));
        let running = async move || json::write(&Running::now(&facts, &for_faces));
        let router = Router::new().route(STORE_PATH, get(async || library)).route(running::PATH, get(running));
        let router = router.fallback_service(router_of_library);
        let n_cut = listener::serve(Socket::Unix(socket), plain(router), &few, stopping.clone()).await;
        let _ = fs::remove_file(&socket_path);
        n_cut
    };
    if let Some(address) = operations_address {
        terminal::message(format_args!("health checks and metrics on http://{address}"));
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    terminal::message(format_args!("listening on {scheme}://{address}"));
    if config.general.console && console::is_built_in() {
        let url = url(address, tls.is_some());
        terminal::message(format_args!("the console is at {url}{}; `likeness console` signs in", console::PREFIX));
    }
    if let Some(quickstart) = quickstart {
        terminal::message(quickstart);
    }
    // After the last request, since requests may hand work over.
    let requests = async {
        let n_cut = tokio::join!(network, commands, operations);
        opened.jobs.stop();
        n_cut
    };
    let failed = |error: &likeness_domain::Error| tracing::warn!(%error, "results or pictures whose time is over are still stored");
    let held = purge_expired(&opened, stopping.clone());
    let uses = store_uses(&opened.access, stopping.clone());
    let trimmed = give_memory_back(&budget, stopping.clone());
    let scrubbed = scrub(&*opened.store, config.general.scrub(), stopping.clone());
    let reloads = Reloads { tls: tls.clone(), resolved: resolved.clone(), resolve, facts: &facts };
    let reloaded = reloads.run(hang_ups, stopping.clone());
    let purged = opened.jobs.purge_in_time(&*opened.pictures, &failed);
    let ((n_network, n_commands, n_operations), (), (), (), (), (), ()) =
        tokio::join!(requests, purged, held, uses, trimmed, scrubbed, reloaded);
    if let Err(error) = opened.access.store_uses().await {
        tracing::warn!(%error, "when access keys were used last is not stored");
    }
    // Jobs under way are brought to their end.
    while workers.join_next().await.is_some() {}
    if let Some(exporting) = exporting {
        exporting.finish().await;
    }
    match n_network + n_commands + n_operations {
        0 => tracing::info!("stopped"),
        n_cut => tracing::warn!(n_cut, "stopped with requests unanswered, since their time was up"),
    }
    Ok(Verdict::Done)
}

/// Says at the start what becomes of clips, if they are not decoded in confinement.
fn warn_of_clips(confined: video::Confined) {
    match confined {
        video::Confined::Yes => {}
        video::Confined::Off => tracing::warn!("clips are decoded without confinement, as `video.confinement` says"),
        video::Confined::Impossible(reason) => tracing::warn!(reason, "clips are decoded without confinement"),
        video::Confined::Refused(reason) => tracing::warn!(
            reason,
            "clips are refused, since their decoder cannot be confined; hint: a kernel with Landlock and seccomp, or \
             `video.confinement` set to `preferred` if all clips come from people you trust"
        ),
    }
}

/// Settings as they would be resolved now, from the same flags, environment and file.
pub(crate) type Resolve = dyn Fn() -> Result<RawConfig, Error> + Send + Sync;

/// What is read again while the server runs.
struct Reloads<'a> {
    tls: Option<Arc<Tls>>,
    resolved: RawConfig,
    resolve: &'a Resolve,
    facts: &'a Facts,
}

impl Reloads<'_> {
    /// Until told to stop: takes changed certificates over soon after they change, and at SIGHUP also the level of the log.
    /// Requests in flight and open connections go on as they are. What cannot be used is logged, and what held before
    /// holds on.
    async fn run(mut self, mut hang_ups: Signal, mut stopping: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                _ = hang_ups.recv() => {
                    self.settings();
                    self.certificates(true).await;
                }
                () = tokio::time::sleep(tls::LOOK_EVERY) => self.certificates(false).await,
            }
        }
    }

    async fn certificates(&self, always: bool) {
        let Some(tls) = self.tls.clone() else { return };
        // Files may lie on a network.
        match tokio::task::spawn_blocking(move || tls.reload(always)).await {
            Ok(Ok(true)) => tracing::info!("the certificate is read again; new connections get it"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                let hint = error.hint();
                tracing::error!(
                    error = error.message(),
                    hint,
                    "the certificate cannot be read again, the one before holds on"
                );
            }
            Err(error) => tracing::error!(%error, "reading the certificate again failed"),
        }
    }

    fn settings(&mut self) {
        let settled = (self.resolve)().and_then(|resolved| Ok((Config::from_raw(&resolved)?, resolved)));
        let (config, resolved) = match settled {
            Ok(settled) => settled,
            Err(error) => {
                let hint = error.hint();
                tracing::error!(
                    error = error.message(),
                    hint,
                    "the settings cannot be read again, those before hold on"
                );
                return;
            }
        };
        telemetry::set_level(&config.log);
        let changed = self.resolved.differing(&resolved);
        let waiting: Vec<_> = changed.iter().copied().filter(|name| *name != "log.level").collect();
        match waiting.is_empty() {
            true => tracing::info!(changed = changed.join(", "), "the settings are read again"),
            false => tracing::warn!(
                changed = changed.join(", "),
                "the settings are read again; these hold from the next start on: {}",
                waiting.join(", ")
            ),
        }
        self.resolved.take_over("log.level", &resolved);
        self.facts.settings_are(&self.resolved);
    }
}

/// Turns `stop` true at the first SIGTERM or SIGINT; the second ends the process at once. The returned future is ready
/// after the first.
fn stop_on_signal(stop: watch::Sender<bool>) -> Result<impl Future<Output = ()>, Error> {
    let hear = |kind| signal(kind).map_err(|error| failed(format!("cannot listen for signals: {error}")));
    let (mut terminate, mut interrupt) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    let mut stopping = stop.subscribe();
    tokio::spawn(async move {
        let mut any = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        any().await;
        tracing::info!("stopping: no new connections, requests in flight are answered");
        stop.send_replace(true);
        any().await;
        // Nothing acknowledged is lost by this; unanswered requests are.
        terminal::message("stopped at the second signal, without waiting for requests in flight");
        std::process::exit(2);
    });
    Ok(async move {
        // The sender lives as long as the task above, which ends with the process.
        let _ = stopping.wait_for(|stop| *stop).await;
    })
}

/// Erases held faces, records and archives whose time is over, and archives of face sets that were deleted, soon after it is,
/// until told to stop.
async fn purge_expired(opened: &Opened, mut stopping: watch::Receiver<bool>) {
    let (mut in_files, mut of_sets, mut in_store) = (Repeated::default(), Repeated::default(), Repeated::default());
    loop {
        let archives = Arc::clone(&opened.archives);
        // A panic in there is in the log already, through the hook.
        let purged = tokio::task::spawn_blocking(move || archives.purge_expired_archives(SystemClock.now())).await;
        if let Ok(purged) = purged
            && let Some(error) = in_files.news(purged.as_ref().err())
        {
            tracing::warn!(%error, "archives whose time is over are still stored");
        }
        let erased = native::erase_archives_of_deleted_sets(&opened.library, &*opened.jobs, &opened.archives).await;
        if let Some(error) = of_sets.news(erased.as_ref().err()) {
            tracing::warn!(%error, "archives of face sets that were deleted are stored until their time is over");
        }
        let records = opened.records.purge_expired_records(SystemClock.now()).await;
        let faces = opened.store.purge_expired_faces(SystemClock.now()).await;
        if let Some(error) = in_store.news(records.and(faces).as_ref().err()) {
            tracing::warn!(%error, "records or held faces whose time is over are still stored");
        }
        if tokio::time::timeout(FORGET_EVERY, stopping.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}

/// Reads every row again from time to time, a few at a time, until told to stop: damage is known before somebody needs the row.
async fn scrub(store: &dyn GalleryStore, settings: Option<Scrub>, mut stopping: watch::Receiver<bool>) {
    let Some(Scrub { interval, rows_per_second }) = settings else { return };
    let n_rows = (rows_per_second / SCRUB_STEPS_PER_SECOND).max(1);
    let (mut pause, mut repeated) = (SCRUB_DELAY, Repeated::default());
    while tokio::time::timeout(pause, stopping.wait_for(|stop| *stop)).await.is_err() {
        let step = store.scrub(SystemClock.now(), interval, n_rows).await;
        if let Some(error) = repeated.news(step.as_ref().err()) {
            tracing::warn!(%error, "rows cannot be read again, it is tried until they can");
        }
        pause = match step {
            // A step may end early, as its time is bounded.
            Ok(ScrubStep::Read(n_read)) => Duration::from_secs_f64(n_read.max(1) as f64 / rows_per_second as f64),
            Ok(ScrubStep::NotBefore(at)) => {
                let millis = at.0.saturating_sub(SystemClock.now().0).max(0).unsigned_abs();
                Duration::from_millis(millis).clamp(SCRUB_DELAY, SCRUB_LOOK_EVERY)
            }
            Err(_) => SCRUB_DELAY,
        };
    }
}

/// Gives the memory of request bodies back to the system once they are gone, until told to stop: the C library would keep it.
async fn give_memory_back(budget: &BodyBudget, mut stopping: watch::Receiver<bool>) {
    let mut peak = 0;
    while tokio::time::timeout(TRIM_EVERY, stopping.wait_for(|stop| *stop)).await.is_err() {
        peak = peak.max(budget.take_peak());
        if peak >= TRIM_BYTES_MIN && budget.n_bytes() < peak / 4 {
            peak = 0;
            // A failure is a panic in there, which the hook has logged.
            let _ = tokio::task::spawn_blocking(likeness_vision::runtime::give_memory_back).await;
        }
    }
}

/// Stores once a minute when access keys were used last, until told to stop.
async fn store_uses(access: &Access, mut stopping: watch::Receiver<bool>) {
    let mut repeated = Repeated::default();
    while tokio::time::timeout(STORE_USES_EVERY, stopping.wait_for(|stop| *stop)).await.is_err() {
        if let Some(error) = repeated.news(access.store_uses().await.as_ref().err()) {
            tracing::warn!(%error, "when access keys were used last cannot be stored, it is tried until it can");
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = failed(format!("cannot listen on {address}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                failure.with_hint("another program has that port; choose one with `--listen`, or 0 for any free one")
            }
            std::io::ErrorKind::PermissionDenied => failure.with_hint("ports below 1024 belong to the system"),
            _ => failure,
        }
    })
}

/// Binds a socket that only this user can open. Called by the owner of the folder's lock, so a socket file that is
/// there already was left behind by a killed server.
fn bind_for_owner(path: &Path) -> std::io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let n_bytes = path.as_os_str().len();
    if n_bytes > SOCKET_PATH_BYTES_MAX {
        let message = format!(
            "the path of the socket {} has {n_bytes} bytes, expected at most {SOCKET_PATH_BYTES_MAX}; hint: a data folder \
             with a shorter path, or a symbolic link to it",
            path.display()
        );
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, message));
    }
    // Private from its first moment: setting the mode afterwards would leave a gap. The mask is the process's, but
    // everything else made meanwhile is private by its own mode anyway.
    let before = umask(Mode::RWXG | Mode::RWXO);
    let bound = UnixListener::bind(path);
    umask(before);
    let bound = bound?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(bound)
}

/// Where clients on this machine find the server.
fn url(address: SocketAddr, has_tls: bool) -> String {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if has_tls { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}
