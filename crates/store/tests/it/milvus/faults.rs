//! What happens when Milvus, the node or an operator does not do what was hoped.

use likeness_domain::Kind;

use super::*;

/// A node with a set in Milvus and a smaller one of its own.
struct Node {
    server: Server,
    runtime: Runtime,
    truth: Arc<MemoryTruth>,
    index: Arc<MilvusIndex>,
    chance: Chance,
    flush_every: Duration,
}

const SMALL: u64 = 2;
const N_FACES: u64 = 300;

impl Node {
    fn new(variety: Variety) -> Self {
        let (server, runtime) = (Server::start(variety), runtime());
        let truth = Arc::new(MemoryTruth::default());
        let flush_every = Settings::new(server.address()).flush_every;
        let index = Arc::new(Self::index(&server, &truth, &runtime, flush_every));
        let mut node = Self { server, runtime, truth, index, chance: Chance(7), flush_every };
        node.commit(vec![opening(SET), opening(SMALL)]);
        let rows: Vec<GalleryChange> = (1..=N_FACES).map(|number| node.put(number)).collect();
        node.commit(rows);
        node.commit(vec![putting(SMALL, entry(9001, &[1.0, 0.0, 0.0, 0.0]))]);
        node.settle();
        assert!(node.index.is_elsewhere(set(SET)) && !node.index.is_elsewhere(set(SMALL)));
        node
    }

    /// One of whose last rows nothing is in Milvus' files.
    fn with_unflushed_rows() -> Self {
        let mut node = Self::new(Variety::Lite);
        node.flush_every = Duration::from_secs(3600);
        node.start_again();
        let changed = (1..40).map(|number| node.put(number)).collect();
        node.commit(changed);
        node.settle();
        node
    }

    fn index(server: &Server, truth: &Arc<MemoryTruth>, runtime: &Runtime, flush_every: Duration) -> MilvusIndex {
        let settings = Settings { flush_every, ..settings(server, 100) };
        MilvusIndex::new(Arc::new(BruteForceIndex::new()), Arc::clone(truth) as _, settings, runtime.handle().clone())
    }

    /// Another process in its place, which fills its index from the tables.
    fn start_again(&mut self) {
        self.index = Arc::new(Self::index(&self.server, &self.truth, &self.runtime, self.flush_every));
        self.runtime.block_on(async {
            self.index.restart().await.unwrap();
            let newest = likeness_store::milvus::truth::Truth::newest(&*self.truth).await.unwrap().revision;
            self.index.apply(newest, vec![opening(SET), opening(SMALL)]).await.unwrap();
            assert!(self.index.is_elsewhere(set(SET)));
            self.index.apply(newest, vec![putting(SMALL, entry(9001, &[1.0, 0.0, 0.0, 0.0]))]).await.unwrap();
            self.index.resume(newest).await.unwrap();
        });
    }

    fn put(&mut self, number: u64) -> GalleryChange {
        let raw: Vec<f32> = (0..4).map(|_| self.chance.normal()).collect();
        putting(SET, entry(number, &raw))
    }

    fn commit(&self, changes: Vec<GalleryChange>) {
        let revision = self.truth.commit(&changes);
        self.runtime
            .block_on(self.index.apply(revision, changes))
            .expect("a commit is taken over, whatever Milvus does");
    }

    fn settle(&self) {
        self.runtime.block_on(settle(&self.index));
    }

    fn search(&self, number: u64) -> likeness_domain::Result<Vec<FaceId>> {
        let hits = self.runtime.block_on(self.index.search(question(number, &[1.0, 0.0, 0.0, 0.0], 10_000)))?;
        Ok(hits.into_iter().map(|hit| hit.face).collect())
    }

    fn until_milvus_answers(&self) {
        let started = Instant::now();
        while self.search(SET).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "Milvus is back");
        }
    }

    /// Searches find what the store has, and nothing else.
    #[track_caller]
    fn check(&self) {
        let every = Arc::new(Filter::Every(Vec::new()));
        let mut wanted: Vec<u64> = self.runtime.block_on(self.index.matching(set(SET), every)).unwrap();
        let mut found: Vec<u64> = self.search(SET).unwrap().into_iter().map(FaceId::get).collect();
        wanted.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, wanted);
    }

    /// Milvus has what the store has.
    #[track_caller]
    fn check_same(&self) {
        let found = self.runtime.block_on(self.index.compare(set(SET))).unwrap();
        assert!(found.is_none(), "{found:?}");
        assert_eq!((found.n_milvus, found.digest_milvus), (found.n_truth, found.digest_truth), "{found:?}");
    }
}

/// The node is killed after Milvus has confirmed and before the position is kept, at every commit.
fn a_node_that_is_killed_writes_again(variety: Variety) {
    if !server::is_installed() {
        return;
    }
    let mut node = Node::new(variety);
    for round in 0..6_u64 {
        let changed = (1..40).map(|n| node.put(round * 17 + n * 3)).collect();
        node.commit(changed);
        node.commit((1..9).map(|n| removing(SET, round * 17 + n * 5)).collect());
        let before = node.truth.position();
        node.truth.fails_to_save.store(true, Ordering::SeqCst);
        assert!(node.runtime.block_on(node.index.step()).is_err());
        assert_eq!(node.truth.position(), before, "the position is where it was");
        // Milvus has it, this node does not know it: what is found is the same.
        node.check();
        node.start_again();
        node.check();
        // The faces that were written twice change once more before the next process writes them.
        let again = (1..9).map(|n| node.put(round * 17 + n * 5)).collect();
        node.commit(again);
        node.truth.fails_to_save.store(false, Ordering::SeqCst);
        node.settle();
        node.check();
        node.check_same();
    }
}

/// Whoever compares while others write is not told of differences that are none, nor of digests that differ.
#[test]
fn writes_that_go_on_are_no_differences() {
    if !server::is_installed() {
        return;
    }
    let mut node = Node::new(Variety::Lite);
    let running = node.runtime.spawn(Arc::clone(&node.index).run());
    for round in 0..4 {
        let mut changes: Vec<GalleryChange> = (1..20).map(|n| node.put(round * 17 + n * 3)).collect();
        changes.extend((1..9).map(|n| removing(SET, 200 + round * 9 + n)));
        changes.extend((1..9).map(|n| node.put(9100 + round * 9 + n)));
        *node.truth.after_page.lock().unwrap() = Some(changes);
        node.check_same();
        assert!(node.truth.after_page.lock().unwrap().is_none(), "somebody wrote meanwhile");
    }
    running.abort();
}

#[test]
fn a_node_that_is_killed_between_milvus_and_its_position_writes_again() {
    a_node_that_is_killed_writes_again(Variety::Lite);
}

/// Milvus is killed and started again while it is written to; then it is cut off, and comes back.
fn milvus_goes_and_comes_back(variety: Variety) {
    if !server::is_installed() {
        return;
    }
    let mut node = Node::new(variety);
    let refused = |node: &Node| assert_eq!(node.search(SET).expect_err("Milvus is away").kind(), Kind::Overloaded);
    node.server.kill();
    let more: Vec<GalleryChange> = (301..=400).map(|number| node.put(number)).collect();
    node.commit(more);
    node.commit((1..=50).map(|number| removing(SET, number)).collect());
    assert!(node.runtime.block_on(node.index.step()).is_err());
    refused(&node);
    // Sets that are not in Milvus go on, and nothing is lost that the store has.
    assert_eq!(node.search(SMALL).unwrap(), [face(9001)]);
    node.commit(vec![putting(SMALL, entry(9002, &[1.0, 0.1, 0.0, 0.0]))]);
    assert_eq!(node.search(SMALL).unwrap(), [face(9001), face(9002)]);
    node.server.run();
    // Before it has caught up: what Milvus lacks is laid over its answer.
    let started = Instant::now();
    while node.search(SET).is_err() {
        assert!(started.elapsed() < Duration::from_secs(60), "Milvus is back");
    }
    node.check();
    node.settle();
    node.check();
    node.check_same();
    node.server.cut(true);
    node.commit(vec![removing(SET, 60), removing(SET, 61)]);
    refused(&node);
    node.server.cut(false);
    node.check();
    node.settle();
    node.check_same();
}

/// What Milvus has confirmed is lost with its process, but for what it was told to write to its files.
#[test]
fn what_milvus_loses_it_is_told_once_more() {
    if !server::is_installed() {
        return;
    }
    let mut node = Node::new(Variety::Lite);
    for round in 0..2_u64 {
        let changed = (1..40).map(|n| node.put(round * 500 + n * 7)).collect();
        node.commit(changed);
        node.commit((1..9).map(|n| removing(SET, round * 100 + n * 3)).collect());
        node.settle();
        node.check_same();
        node.server.kill();
        node.server.lose_what_is_not_in_files();
        node.server.run();
        node.until_milvus_answers();
        if round == 1 {
            // Another process, which knows nothing of the one that Milvus was.
            node.start_again();
        }
        node.settle();
        node.check();
        node.check_same();
    }
}

/// Whoever begins to write to Milvus tells it once more what it may have lost, and may delete rows before inserting them: a
/// node that searches meanwhile, and has not heard of that, misses none of them.
#[test]
fn rows_that_are_told_once_more_are_not_missed_by_another_node() {
    if !server::is_installed() {
        return;
    }
    let node = Node::with_unflushed_rows();
    node.check();
    let before = node.truth.position();
    let next = Node::index(&node.server, &node.truth, &node.runtime, node.flush_every);
    assert!(node.runtime.block_on(next.step()).unwrap());
    assert!(node.truth.position() < before, "it begins with what is in Milvus' files");
    // Killed after it has deleted the rows.
    node.truth.hides_rows.store(true, Ordering::SeqCst);
    node.truth.fails_to_save.store(true, Ordering::SeqCst);
    assert!(node.runtime.block_on(next.step()).is_err());
    node.truth.hides_rows.store(false, Ordering::SeqCst);
    node.check();
    let found = node.runtime.block_on(node.index.compare(set(SET))).unwrap();
    assert!(found.n_milvus < found.n_truth, "Milvus has them no longer: {found:?}");
    node.truth.fails_to_save.store(false, Ordering::SeqCst);
    node.settle();
    node.check();
    node.check_same();
}

/// A node that searches in a set does not have to have heard that it is copied anew.
#[test]
fn a_set_that_is_copied_anew_is_not_searched_half_by_another_node() {
    if !server::is_installed() {
        return;
    }
    let node = Node::new(Variety::Lite);
    let next = Node::index(&node.server, &node.truth, &node.runtime, node.flush_every);
    node.runtime.block_on(async {
        while next.step().await.unwrap() {}
        next.rebuild(set(SET)).await.unwrap();
        // It notes that first, and empties the set then.
        assert!(next.step().await.unwrap());
    });
    assert_eq!(node.search(SET).expect_err("the set is being copied").kind(), Kind::Overloaded);
    node.settle();
    node.check();
    node.check_same();
}

/// That a set is to be copied anew is not forgotten by a node that begins to write to Milvus, whatever that does first.
#[test]
fn a_wish_for_a_copy_outlasts_the_node_that_wrote_to_milvus() {
    if !server::is_installed() {
        return;
    }
    let mut node = Node::with_unflushed_rows();
    let before = node.truth.position();
    node.runtime.block_on(node.index.rebuild(set(SET))).unwrap();
    // It has to tell Milvus once more what is not in its files.
    node.start_again();
    assert!(node.runtime.block_on(node.index.step()).unwrap());
    let outbox = node.runtime.block_on(node.index.outbox()).unwrap();
    assert_eq!((outbox.sets[&set(SET)].stage, outbox.rebuilds.len()), (Stage::Refilling, 0));
    assert!(outbox.position.revision < before, "it goes back as well");
    node.settle();
    node.check();
    node.check_same();
}

/// As when somebody restores its volume: it is in order, and lacks what it had confirmed and written to its files since.
#[test]
fn a_milvus_that_is_put_back_to_an_older_state_is_told_all_once_more() {
    if !server::is_installed() {
        return;
    }
    let mut node = Node::new(Variety::Lite);
    node.flush_every = Duration::ZERO;
    for is_another_process in [false, true] {
        node.start_again();
        node.settle();
        node.server.kill();
        node.server.copy_files();
        node.server.run();
        node.until_milvus_answers();
        let changed = (1..40).map(|n| node.put(n * 7)).collect();
        node.commit(changed);
        node.commit((1..9).map(|n| removing(SET, n * 3)).collect());
        node.settle();
        node.check_same();
        node.server.kill();
        node.server.put_back_files();
        node.server.run();
        if is_another_process {
            node.start_again();
        } else {
            node.until_milvus_answers();
        }
        node.settle();
        node.check();
        node.check_same();
    }
}

#[test]
fn a_standalone_milvus_goes_and_comes_back() {
    milvus_goes_and_comes_back(Variety::Standalone);
}

#[test]
fn the_small_milvus_goes_and_comes_back() {
    milvus_goes_and_comes_back(Variety::Lite);
}

/// Something that takes connections and never answers, or answers what is no HTTP/2, is away: no call waits for ever.
#[test]
fn what_hangs_or_talks_nonsense_is_away() {
    use std::io::Write;
    use std::net::TcpListener;
    let runtime = runtime();
    for answer in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", &[0; 64], &[0xff; 9]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer).unwrap();
            // Held open until the other side gives up.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        });
        let started = Instant::now();
        let address = likeness_store::milvus::Address::parse(&address, Some("root:secret"), None).unwrap();
        assert!(!format!("{address:?}").contains("secret"));
        let refused = runtime.block_on(likeness_store::milvus::version(address)).unwrap_err();
        assert_eq!(refused.kind(), Kind::Overloaded, "{refused:?}");
        assert!(started.elapsed() < Duration::from_secs(20));
        served.join().unwrap();
    }
}

/// What does not pass by itself says what is to be changed, and not to try again.
#[test]
fn what_is_set_wrongly_is_told_apart_from_what_is_away() {
    use likeness_store::milvus::{Address, probe};
    if !server::is_installed() {
        return;
    }
    let (server, runtime) = (Server::start(Variety::Lite), runtime());
    let right = settings(&server, 1);
    let ask = |settings: &Settings| runtime.block_on(probe(settings));
    ask(&right).unwrap();
    let no_database = Settings { database: "nodb".to_owned(), ..right.clone() };
    let with_tls = server.url().replace("http://", "https://");
    let with_tls = Settings { address: Address::parse(&with_tls, None, None).unwrap(), ..right.clone() };
    for (settings, cure) in [(&no_database, "`milvus.database`"), (&with_tls, "`http://`")] {
        let refused = ask(settings).unwrap_err();
        assert!(refused.hint().is_some_and(|hint| hint.contains(cure)), "{refused:?}");
        assert!(!refused.message().contains("try again"), "{refused:?}");
    }
    server.kill();
    let refused = ask(&right).unwrap_err();
    assert!(refused.hint().is_none() && refused.message().contains("try again"), "{refused:?}");
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(!why.contains("127.0.0.1"), "whoever asks whether the server is ready is told why: {why}");
}

/// A device without an end in place of a file.
#[test]
fn a_file_without_an_end_is_refused() {
    let endless = std::path::Path::new("/dev/zero");
    let refused = likeness_store::milvus::Address::parse("https://a", None, Some(endless)).unwrap_err();
    assert!(refused.message().contains("it is longer than"), "{refused:?}");
    let of_database = format!("postgres://a@b/c?sslrootcert={}", endless.display());
    let refused = likeness_store::postgres::Address::parse(&of_database, None).unwrap_err();
    assert!(refused.message().contains("it is longer than"), "{refused:?}");
}

#[test]
fn addresses_with_passwords_or_paths_are_refused() {
    for address in ["milvus:19530", "ftp://a", "http://", "http://a:b@c", "http://a/b", "http://a?b", "http://a b"] {
        let refused = likeness_store::milvus::Address::parse(address, None, None).unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument, "{address}: {refused:?}");
    }
    let address = likeness_store::milvus::Address::parse("https://[::1]", None, None).unwrap();
    assert_eq!(address.shown(), "https://[::1]:19530");
}

/// Commits were compacted while Milvus was away; rows differ from the store; an operator has a set copied anew.
#[test]
fn what_cannot_be_caught_up_is_copied_anew() {
    if !server::is_installed() {
        return;
    }
    let mut node = Node::new(Variety::Lite);
    // A commit that Milvus never gets, and a row of it that is gone in the store.
    let changed = node.put(1);
    node.commit(vec![changed, removing(SET, 2)]);
    node.truth.compact();
    // A node that was there has it all; one that starts now cannot know, and says so.
    node.check();
    node.start_again();
    assert_eq!(node.search(SET).expect_err("the record is gone").kind(), Kind::Overloaded);
    node.settle();
    node.check();
    node.check_same();
    // The same, asked for.
    node.runtime.block_on(node.index.rebuild(set(SET))).unwrap();
    node.runtime.block_on(node.index.step()).unwrap();
    node.settle();
    node.check();
    node.check_same();
}

/// A tail that grew too long is read from the record of commits; one that is too long for that is refused until Milvus has
/// caught up.
#[test]
fn a_long_tail_is_read_from_the_record_or_refused() {
    if !server::is_installed() {
        return;
    }
    let mut node = Node::new(Variety::Lite);
    let settings = Settings { tail_rows_max: 50, ..settings(&node.server, 100) };
    let small = MilvusIndex::new(
        Arc::new(BruteForceIndex::new()),
        Arc::clone(&node.truth) as _,
        settings,
        node.runtime.handle().clone(),
    );
    let full = std::mem::replace(&mut node.index, Arc::new(small));
    node.runtime.block_on(async {
        node.index.restart().await.unwrap();
        let newest = likeness_store::milvus::truth::Truth::newest(&*node.truth).await.unwrap().revision;
        node.index.apply(newest, vec![opening(SET)]).await.unwrap();
        node.index.resume(newest).await.unwrap();
    });
    // The same 40 faces three times over: too many changes for the tail, few enough rows to be read.
    for _ in 0..3 {
        let changes = (1..=40).map(|number| node.put(number)).collect();
        node.commit(changes);
        let changes = (1..=20).map(|number| node.put(400 + number)).collect();
        node.commit(changes);
        node.commit((1..=20).map(|number| removing(SET, 400 + number)).collect());
    }
    assert_eq!(node.search(SET).expect_err("60 rows are more than 50").kind(), Kind::Overloaded);
    node.settle();
    node.check();
    let changes = (1..=40).map(|number| node.put(number)).collect();
    node.commit(changes);
    node.start_again_as(&full);
    node.check();
}

impl Node {
    /// Goes on with another index, brought to where the store is.
    fn start_again_as(&mut self, index: &Arc<MilvusIndex>) {
        self.index = Arc::clone(index);
        self.runtime.block_on(async {
            self.index.restart().await.unwrap();
            let newest = likeness_store::milvus::truth::Truth::newest(&*self.truth).await.unwrap().revision;
            self.index.apply(newest, vec![opening(SET)]).await.unwrap();
            self.index.resume(newest).await.unwrap();
        });
    }
}
