//! The one place where concrete types meet: packs, pipeline, index, store, library, dialects.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use likeness_domain::access::{Access, Caller, FairBounds, FairSlots, Grant, Grants, TenantDefaults};
use likeness_domain::library::jobs::Jobs;
use likeness_domain::library::{Library, Ports, Turns};
use likeness_domain::ports::{
    Analysis, AnalyzeRequest, ArchiveStore, CredentialStore, FaceAnalyzer, GalleryStore, IdSource, JobStore,
    NonceStore, PackInfo, Pending, RecordStore, UploadStore, VectorIndex,
};
use likeness_domain::types::{Aspects, InstallationSecret, PackId, TenantId};
use likeness_domain::{Error, Kind};
use likeness_store::embedded::{self, Credentials, EmbeddedStore};
use likeness_store::folder::DataFolder;
use likeness_store::index::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};
use likeness_store::memory::MemoryStore;
use likeness_store::migration::Place;
#[cfg(feature = "postgres")]
use likeness_store::postgres::{self, PostgresStore};
use likeness_vision::pack::{self, Home, InstalledPack, RuntimeLibrary};
use likeness_vision::pipeline::{Pipeline, PipelineSettings};
use likeness_vision::runtime::{Runtime, choice};
use likeness_wire::native::{self, Native, OwnerOfTheFolder, ServerFacts};
use likeness_wire::{ReadyCheck, Services};

use crate::cli::progress::InstallProgress;
use crate::config::{Config, General, read_secret};
use crate::fetch::{self, HttpFetcher};
use crate::guard;
use crate::milvus;
use crate::outcome::refused;
use crate::readiness::Parts;
use crate::system::{SystemClock, SystemIds};
use crate::video::Ffmpeg;

/// Name of the socket in the data folder through which commands reach a running server.
pub(crate) const SOCKET_FILE: &str = "likeness.sock";

/// Searches that may wait for a scanning thread: about a second of them in a gallery of a hundred thousand.
const SEARCH_QUEUE_MAX: usize = 1024;

/// Searches under way at once: those in one face set are answered in one pass over it, which gains little beyond this.
const SEARCHES_MAX: usize = 64;

/// Writes under way at once, which are flushed to the disk together, and writes that may wait.
const WRITES_MAX: usize = 128;
const WRITE_QUEUE_MAX: usize = 1024;

/// A library whose data folder belongs to this process until the value is dropped.
pub(crate) struct Opened {
    /// The library.
    pub(crate) library: Arc<Library>,
    /// Its faces, for questions over all tenants.
    pub(crate) store: Arc<dyn GalleryStore>,
    /// The index that the store feeds, for measurements of it alone.
    pub(crate) index: Arc<dyn VectorIndex>,
    /// Its tenants and keys.
    pub(crate) credentials: Arc<dyn CredentialStore>,
    /// The gate that calls of keys pass.
    pub(crate) access: Arc<Access>,
    /// Its jobs.
    pub(crate) jobs: Arc<Jobs>,
    /// Pictures that were handed in.
    pub(crate) pictures: Arc<dyn UploadStore>,
    /// What was used and may be used only once.
    pub(crate) nonces: Arc<dyn NonceStore>,
    /// Sessions and what else is remembered for a while.
    pub(crate) records: Arc<dyn RecordStore>,
    /// Archives that jobs make and read.
    pub(crate) archives: Arc<dyn ArchiveStore>,
    /// What `/readyz` looks at.
    pub(crate) parts: Arc<Parts>,
    secret: InstallationSecret,
    resolver: Arc<dyn fetch::Resolve>,
}

impl Opened {
    /// What the dialects on the network stand on. `ready` says whether the server takes work.
    pub(crate) fn wire(&self, config: &Config, ready: ReadyCheck) -> Services {
        Services {
            library: Arc::clone(&self.library),
            credentials: Arc::clone(&self.credentials),
            access: Arc::clone(&self.access),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            secret: self.secret.clone(),
            jobs: Arc::clone(&self.jobs) as _,
            nonces: Arc::clone(&self.nonces),
            records: Arc::clone(&self.records),
            archives: Arc::clone(&self.archives),
            // With slots of its own: receivers that are slow must not hold up images.
            webhook_sender: Arc::new(HttpFetcher::new(&config.fetch, Arc::clone(&self.resolver))),
            settings: config.wire.clone(),
            ready,
            server: None,
        }
    }

    /// The native API, for whoever owns the data folder. `server` is the one that is running, if
    /// one is.
    pub(crate) fn native_router(&self, server: Option<Arc<dyn ServerFacts>>) -> Router {
        let authenticate = Arc::new(OwnerOfTheFolder::new(Arc::clone(&self.credentials), Arc::new(SystemIds)));
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let sessions = native::Sessions::new(Arc::clone(&self.records), Arc::clone(&self.credentials), clock, ids);
        let native = Native {
            library: Arc::clone(&self.library),
            authenticate,
            sessions: Arc::new(sessions),
            records: Arc::clone(&self.records),
            archives: Arc::clone(&self.archives),
            secret: self.secret.clone(),
            ready: Arc::new(self.parts.check()),
            server,
        };
        native::router(native)
    }
}

/// Takes the data folder and opens the library in it. Without `needs_pack` nothing is installed or loaded, and what
/// looks at images answers [`Kind::PackUnavailable`].
pub(crate) async fn open(config: &Config, needs_pack: bool) -> Result<Opened, Error> {
    open_with(config, move |config| if needs_pack { load_analyzer(config) } else { Ok(Arc::new(NoPack)) }).await
}

/// The same with an analyzer of the caller's making; `analyzer` runs when the folder is taken.
pub(crate) async fn open_with(
    config: &Config,
    analyzer: impl FnOnce(&Config) -> Result<Arc<dyn FaceAnalyzer>, Error> + Send + 'static,
) -> Result<Opened, Error> {
    let (data, reserve_bytes) = (config.data()?.to_owned(), config.general.disk_reserve_mib << 20);
    let archives = Arc::new(config.archives.open(&data, reserve_bytes));
    let config = config.clone();
    let General { calls_per_second, weights, .. } = config.general.clone();
    let resolver = fetch::resolver(&config.fetch);
    let names = Arc::clone(&resolver);
    let (store, library, jobs) = blocking(move || {
        guard::check_data_folder(&config)?;
        // The lock comes first: nobody should wait for a download to learn that the folder is in use.
        let folder = DataFolder::lock(config.data()?)?;
        let analyzer = analyzer(&config)?;
        let index = index(&config, Some(folder.path()))?;
        let store = open_store(&config, folder, index)?;
        let jobs = Arc::new(Jobs::new(Arc::clone(&store.jobs), Arc::new(SystemClock), Arc::new(SystemClock)));
        let library = library(&config, analyzer, &store, Arc::clone(&jobs) as _, names);
        Ok((store, library, jobs))
    })
    .await?;
    let weights = weights.into_iter().map(|tenant| (tenant.name, tenant.weight)).collect();
    let defaults = TenantDefaults { calls_per_second, weights };
    let mut proposed = [0; 32];
    SystemIds.fill(&mut proposed);
    let secret = store.credentials.installation_secret(InstallationSecret::from_bytes(proposed)).await?;
    let (gallery, index) = (Arc::clone(&store.gallery), Arc::clone(&store.index));
    let parts = Parts::new(gallery, index, Arc::clone(&library), &data, reserve_bytes);
    Ok(Opened {
        parts,
        library,
        store: store.gallery,
        index: store.index,
        access: Arc::new(Access::new(Arc::clone(&store.credentials), Arc::new(SystemClock)).with_defaults(defaults)),
        credentials: store.credentials,
        jobs,
        pictures: store.pictures,
        records: store.records,
        nonces: store.nonces,
        archives,
        secret,
        resolver,
    })
}

/// A store as the rest of the server sees it.
struct Store {
    gallery: Arc<dyn GalleryStore>,
    credentials: Arc<dyn CredentialStore>,
    jobs: Arc<dyn JobStore>,
    nonces: Arc<dyn NonceStore>,
    pictures: Arc<dyn UploadStore>,
    records: Arc<dyn RecordStore>,
    /// What searches go through.
    index: Arc<dyn VectorIndex>,
    /// The folder of a store that is not in it; it is ours as long as this lives.
    _folder: Option<DataFolder>,
}

/// Opens the configured store, which fills and feeds `index`.
fn open_store(config: &Config, folder: DataFolder, index: Arc<dyn VectorIndex>) -> Result<Store, Error> {
    milvus::check(config)?;
    if config.general.store.is_some() {
        return open_database(config, Some(folder), index);
    }
    let settings = embedded::Settings {
        upgrade_copy: config.general.upgrade_copy,
        reserve_bytes: config.general.disk_reserve_mib << 20,
        commits_max: config.general.record_commits,
        commit_age_max: record_age(config),
        ..embedded::Settings::DEFAULT
    };
    let store = Arc::new(EmbeddedStore::open_locked(folder, Arc::clone(&index), settings, Arc::new(SystemClock))?);
    Ok(Store {
        gallery: Arc::clone(&store) as _,
        // After the store, which has made or upgraded the layout that both use.
        credentials: Arc::new(store.credentials()?),
        jobs: Arc::clone(&store) as _,
        nonces: Arc::clone(&store) as _,
        pictures: Arc::clone(&store) as _,
        records: store,
        index,
        _folder: None,
    })
}

fn record_age(config: &Config) -> Duration {
    Duration::from_secs(config.general.record_days * 24 * 60 * 60)
}

/// Opens the configured database.
#[cfg(feature = "postgres")]
fn open_database(config: &Config, folder: Option<DataFolder>, index: Arc<dyn VectorIndex>) -> Result<Store, Error> {
    let settings = postgres::Settings {
        n_connections: config.general.store_connections,
        commits_max: config.general.record_commits,
        commit_age_max: record_age(config),
        ..postgres::Settings::DEFAULT
    };
    let address = database(config)?;
    #[cfg(feature = "milvus")]
    let milvus = milvus::of_store(config)?;
    #[cfg(not(feature = "milvus"))]
    let milvus = None;
    let clock = Arc::new(SystemClock);
    let store = Arc::new(PostgresStore::open_in(config.data()?, address, index, settings, clock, milvus)?);
    Ok(Store {
        gallery: Arc::clone(&store) as _,
        credentials: Arc::clone(&store) as _,
        jobs: Arc::clone(&store) as _,
        nonces: Arc::clone(&store) as _,
        pictures: Arc::clone(&store) as _,
        index: store.index(),
        records: store,
        _folder: folder,
    })
}

#[cfg(not(feature = "postgres"))]
fn open_database(_: &Config, _: Option<DataFolder>, _: Arc<dyn VectorIndex>) -> Result<Store, Error> {
    Err(no_database())
}

#[cfg(not(feature = "postgres"))]
fn no_database() -> Error {
    Error::new(Kind::Unsupported, "this program was built without PostgreSQL, and a database is named")
        .with_hint("use a build with the feature `postgres`, or leave `store` out")
}

/// A database that a library is moved from or to.
pub(crate) fn database_place(config: &Config, address: &str) -> Result<Place, Error> {
    #[cfg(feature = "postgres")]
    return database_at(config, address).map(Place::Database);
    #[cfg(not(feature = "postgres"))]
    {
        let _ = (config, address);
        Err(no_database())
    }
}

/// The address of the configured database, with the password that is kept apart from it.
#[cfg(feature = "postgres")]
fn database(config: &Config) -> Result<postgres::Address, Error> {
    database_at(config, config.general.store.as_deref().unwrap_or_default())
}

/// An address with the password that the settings or the environment have.
#[cfg(feature = "postgres")]
fn database_at(config: &Config, address: &str) -> Result<postgres::Address, Error> {
    let password = match &config.general.store_password_file {
        Some(path) => Some(read_secret("store_password_file", path)?),
        None => std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty()),
    };
    postgres::Address::parse(address, password.as_deref())
}

/// A library that remembers nothing, for commands that only look at images.
pub(crate) async fn without_store(config: &Config) -> Result<Arc<Library>, Error> {
    let config = config.clone();
    blocking(move || {
        let index = index(&config, None)?;
        let store = Arc::new(MemoryStore::open(Arc::clone(&index)));
        let store = Store {
            gallery: Arc::clone(&store) as _,
            credentials: Arc::clone(&store) as _,
            jobs: Arc::clone(&store) as _,
            nonces: Arc::clone(&store) as _,
            pictures: Arc::clone(&store) as _,
            records: store,
            index,
            _folder: None,
        };
        let jobs = Arc::clone(&store.jobs);
        Ok(library(&config, load_analyzer(&config)?, &store, jobs, fetch::resolver(&config.fetch)))
    })
    .await
}

/// Who asks where no tenant is concerned: the person at the command line, who may look at images.
pub(crate) fn nobody() -> Caller {
    Caller { grants: Grants::of(&[Grant::Search]), ..Caller::server(TenantId::from_bits(0), "local") }
}

/// The configured database without an index, and the Milvus beside it, for commands.
#[cfg(feature = "milvus")]
pub(crate) async fn database_and_milvus(
    config: &Config,
) -> Result<(Arc<PostgresStore>, Arc<likeness_store::milvus::MilvusIndex>), Error> {
    milvus::check(config)?;
    let Some(of_milvus) = milvus::of_store(config)? else {
        return Err(refused("no Milvus is set").with_hint("name it in `milvus.url` or LIKENESS_MILVUS_URL"));
    };
    let config = config.clone();
    let store = blocking(move || {
        let settings = postgres::Settings { n_connections: 4, ..postgres::Settings::DEFAULT };
        let clock = Arc::new(SystemClock);
        Ok(Arc::new(PostgresStore::open_without_index(database(&config)?, settings, clock)?))
    })
    .await?;
    let index = store.milvus(of_milvus).await?;
    Ok((store, index))
}

/// Tenants and keys of the library, which may be in use by a server.
pub(crate) fn credentials(config: &Config) -> Result<Arc<dyn CredentialStore>, Error> {
    if config.general.store.is_some() {
        return database_credentials(config);
    }
    guard::check_data_folder(config)?;
    Ok(Arc::new(Credentials::open_upgrading(config.data()?, config.general.upgrade_copy)?))
}

#[cfg(feature = "postgres")]
fn database_credentials(config: &Config) -> Result<Arc<dyn CredentialStore>, Error> {
    let settings = postgres::Settings { n_connections: 2, ..postgres::Settings::DEFAULT };
    Ok(Arc::new(PostgresStore::open_without_index(database(config)?, settings, Arc::new(SystemClock))?))
}

#[cfg(not(feature = "postgres"))]
fn database_credentials(_: &Config) -> Result<Arc<dyn CredentialStore>, Error> {
    Err(no_database())
}

/// A pipeline over the configured pack and every other one that is installed, so that face sets pinned to those work
/// too. Installs the default pack and the runtime if need be.
pub(crate) async fn analyzer(config: &Config) -> Result<Arc<dyn FaceAnalyzer>, Error> {
    let config = config.clone();
    blocking(move || load_analyzer(&config)).await
}

fn load_analyzer(config: &Config) -> Result<Arc<dyn FaceAnalyzer>, Error> {
    let home = Home::at(config.home()?);
    let progress = InstallProgress::new();
    let (first, _) = first_pack(&home, &config.general.pack, &progress)?;
    progress.finish();
    let (files, engines) = choice::engines(&home, &first, config.inference())?;
    tracing::info!(
        detector = %engines.detector,
        mesh = %engines.mesh,
        recogniser = %engines.recogniser,
        "models are run by these libraries"
    );
    let mut packs = vec![first];
    for found in pack::list(&home)? {
        match found.outcome.and_then(|pack| pack.verify().map(|()| pack)) {
            Ok(pack) if is_new(&packs, &pack) => packs.push(pack),
            Ok(_) => {}
            Err(error) => tracing::warn!(pack = found.name, %error, "an installed model pack cannot be used"),
        }
    }
    if packs[0].manifest().recognition().is_none() {
        let message = format!("model pack `{}` recognises no faces", packs[0].manifest().id());
        return Err(refused(message).with_hint("name another one with `--pack`; `likeness pack list` shows them"));
    }
    for manifest in packs.iter().map(InstalledPack::manifest) {
        let calibration = manifest.recognition().map(|recognition| &recognition.score.calibration);
        if calibration.is_some_and(|calibration| calibration.far_default().is_none()) {
            tracing::warn!(
                pack = %manifest.id(),
                "the operating points show no default rate, so requests of the native API that say none are refused; \
                 hint: `likeness pack calibrate FILE --default-far RATE` sets one"
            );
        }
    }
    let settings = PipelineSettings {
        memory_bytes: (config.general.analysis_memory_mib as u64) << 20,
        workers: config.general.workers,
        queue_max: config.general.queue_max,
        wait_max: config.general.queue_wait_max,
    };
    let pipeline = Pipeline::open(&Runtime::open(files, engines, config.general.workers)?, &packs, settings)?;
    Ok(Arc::new(pipeline))
}

/// The configured pack and the runtime. What is missing of the default pack or the runtime is installed; where that
/// fails, the default pack of an earlier release serves on, so that an upgrade does not stop a server without network.
fn first_pack(
    home: &Home,
    configured: &PackId,
    progress: &InstallProgress,
) -> Result<(InstalledPack, RuntimeLibrary), Error> {
    if *configured != pack::default_pack_id() {
        // Another pack needs nothing of the default one but the runtime that is installed with it.
        let runtime = match pack::runtime(home) {
            Ok(runtime) => runtime,
            Err(_) => pack::ensure_default(home, progress)?.runtime,
        };
        return Ok((pack::load(home, configured)?, runtime));
    }
    let error = match pack::ensure_default(home, progress) {
        Ok(installed) => return Ok((installed.pack, installed.runtime)),
        Err(error) => error,
    };
    let earlier = pack::earlier_default_pack_ids().into_iter().find_map(|id| pack::load(home, &id).ok());
    match (earlier, pack::runtime(home)) {
        (Some(pack), Ok(runtime)) => {
            tracing::warn!(
                pack = %pack.manifest().id(), %error,
                "the default model pack cannot be installed, so that of an earlier release serves on; \
                 hint: `likeness pack install` installs the default one, with `--from FOLDER` without a network"
            );
            Ok((pack, runtime))
        }
        _ => Err(error),
    }
}

fn is_new(packs: &[InstalledPack], pack: &InstalledPack) -> bool {
    packs.iter().all(|known| known.manifest().id() != pack.manifest().id())
}

/// With its rows in a folder, or all in memory.
fn index(config: &Config, folder: Option<&Path>) -> Result<Arc<dyn VectorIndex>, Error> {
    let mut seed = [0; 8];
    SystemIds.fill(&mut seed);
    let options = FlatOptions {
        n_threads: config.general.workers,
        queue_len_max: SEARCH_QUEUE_MAX,
        inline_numbers_max: INLINE_NUMBERS_MAX,
        seed: u64::from_le_bytes(seed),
    };
    Ok(Arc::new(match folder {
        Some(folder) => FlatIndex::new_in(options, folder)?,
        None => FlatIndex::new(options)?,
    }))
}

fn library(
    config: &Config,
    analyzer: Arc<dyn FaceAnalyzer>,
    store: &Store,
    jobs: Arc<dyn JobStore>,
    resolver: Arc<dyn fetch::Resolve>,
) -> Arc<Library> {
    let ports = Ports {
        analyzer,
        pictures: Arc::clone(&store.pictures),
        credentials: Arc::clone(&store.credentials),
        jobs,
        store: Arc::clone(&store.gallery),
        index: Arc::clone(&store.index),
        fetcher: Arc::new(HttpFetcher::new(&config.fetch, resolver)),
        decoder: Arc::new(Ffmpeg::new(&config.video)),
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    };
    Arc::new(Library::new(ports).with_default_gate(config.general.quality_gate).with_turns(turns(config)))
}

/// How many of each kind are under way at once, and how many may wait for their tenant's turn.
fn turns(config: &Config) -> Turns {
    let General { workers, queue_max, queue_wait_max, .. } = config.general;
    let slots = |what, n_slots, queue_max, wait_ms_max| {
        let bounds = FairBounds { what, n_slots, queue_max, wait_ms_max };
        FairSlots::with_timer(bounds, Arc::new(SystemClock), Arc::new(SystemClock))
    };
    let wait_ms_max = u64::try_from(queue_wait_max.as_millis()).ok();
    Turns {
        // A few more than threads, so that a thread that is done finds the next image ready.
        analyses: slots("images", workers + workers.div_ceil(2), queue_max, wait_ms_max),
        searches: slots("searches", SEARCHES_MAX, SEARCH_QUEUE_MAX, None),
        writes: slots("writes", WRITES_MAX, WRITE_QUEUE_MAX, None),
    }
}

/// Runs what blocks (files, downloads, model loading) off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Stands in where a command looks at no image.
struct NoPack;

impl FaceAnalyzer for NoPack {
    fn packs(&self) -> &[PackInfo] {
        &[]
    }

    fn aspects(&self) -> Aspects {
        Aspects::NONE
    }

    fn analyze(&self, _: bytes::Bytes, _: AnalyzeRequest) -> Pending<'_, Analysis> {
        Box::pin(async { Err(Error::new(Kind::PackUnavailable, "this command was started without a model pack")) })
    }
}
