//! What is asked of Milvus: collections, rows, deletes, searches, listings.

use std::collections::HashSet;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tokio::sync::Mutex;

use super::grpc::{Address, Channel, Fault, Outcome};
use super::messages::{
    Answer, BoolAnswer, CUSTOMIZED, CollectionRequest, CollectionSchema, CreateCollectionRequest, CreateIndexRequest,
    DeleteRequest, DescribeIndexAnswer, DescribeIndexRequest, FLOAT_VECTOR, FieldData, FieldSchema, FloatArray,
    FlushAnswer, FlushRequest, INT64, InsertRequest, JSON, JsonArray, KeyValuePair, LOADED, LoadCollectionRequest,
    LoadStateAnswer, LoadStateRequest, LongArray, MutationResult, PlaceholderGroup, PlaceholderValue, QueryRequest,
    QueryResults, QuerySegment, QuerySegmentsAnswer, QuerySegmentsRequest, STRONG, ScalarField, Scalars, SearchRequest,
    SearchResults, Status, StringArray, VARCHAR, VectorField, VersionAnswer, VersionRequest,
};

/// Most rows that a search or a listing may ask Milvus for.
pub(super) const ROWS_MAX: usize = 16_384;

/// Longest key of a row: two ids of 14 digits and a dot.
const KEY_BYTES_MAX: usize = 32;

/// Parts of a collection among which the face sets are spread by their ids.
const N_PARTITIONS: i64 = 16;

/// Neighbours of each row in the graph, and rows looked at when one is put into it.
const GRAPH: &str = r#"{"M":16,"efConstruction":200}"#;

/// Rows that a search looks at, at least; more of them is more recall and more time. Of the ten best of 20,000, 256 find 0.989
/// and 512 find 0.999 (`docs/scale.md`).
const LOOKED_AT_MIN: usize = 512;

/// How long making, indexing and loading a collection may take.
const SETUP_MAX: Duration = Duration::from_secs(120);

/// How long listing rows may take, at least.
const LIST_MAX: Duration = Duration::from_secs(30);

/// Names of the fields.
pub(super) mod field {
    pub(in crate::milvus) const KEY: &str = "key";
    pub(in crate::milvus) const FACE_SET: &str = "face_set";
    pub(in crate::milvus) const SEQUENCE: &str = "sequence";
    pub(in crate::milvus) const DIGEST: &str = "digest";
    pub(in crate::milvus) const VALUES: &str = "value";
    pub(in crate::milvus) const VECTOR: &str = "vector";
}

/// A row as it is written.
pub(super) struct Row {
    pub(super) key: String,
    pub(super) face_set: i64,
    pub(super) sequence: i64,
    pub(super) digest: i64,
    /// A JSON object, for filters.
    pub(super) values: String,
    pub(super) vector: Vec<f32>,
}

/// A Milvus, or a cluster of it.
pub(super) struct Client {
    channel: Channel,
    database: String,
    deadline: Duration,
    /// Collections that were found in order or made, indexed and loaded.
    ready: Mutex<HashSet<String>>,
}

fn pair(key: &str, value: impl Into<String>) -> KeyValuePair {
    KeyValuePair { key: key.to_owned(), value: value.into() }
}

fn scalars(field_name: &str, data_type: i32, data: Scalars) -> FieldData {
    let scalars = Some(ScalarField { data: Some(data) });
    FieldData { data_type, field_name: field_name.to_owned(), scalars, vectors: None }
}

impl Client {
    pub(super) fn new(address: Address, database: String, deadline: Duration) -> Self {
        Self { channel: Channel::new(address), database, deadline, ready: Mutex::default() }
    }

    pub(super) fn address(&self) -> &Address {
        self.channel.address()
    }

    /// See [`Channel::n_connections`].
    pub(super) fn n_connections(&self) -> u64 {
        self.channel.n_connections()
    }

    /// See [`Channel::is_new`].
    pub(super) fn is_new(&self, within: Duration) -> bool {
        self.channel.is_new(within)
    }

    /// The server's version; also whether it is there.
    pub(super) async fn version(&self) -> Outcome<String> {
        let answer: VersionAnswer = self.channel.call("GetVersion", &VersionRequest {}, self.deadline).await?;
        Ok(answer.version)
    }

    fn collection(&self, name: &str) -> CollectionRequest {
        CollectionRequest { db_name: self.database.clone(), collection_name: name.to_owned() }
    }

    /// Whether the collection exists.
    pub(super) async fn has(&self, name: &str) -> Outcome<bool> {
        let answer: BoolAnswer = self.channel.call("HasCollection", &self.collection(name), self.deadline).await?;
        Ok(answer.value)
    }

    /// Calls a method that is about a collection. One that is not there, or not in Milvus' memory, is looked for at the next
    /// [`Self::ensure`].
    async fn call<A: Answer>(
        &self,
        name: &str,
        method: &'static str,
        request: &impl Message,
        deadline: Duration,
    ) -> Outcome<A> {
        let answer = self.channel.call(method, request, deadline).await;
        if let Err(fault) = &answer
            && fault.is_missing_collection()
        {
            self.forget(name).await;
        }
        answer
    }

    /// The next use of the collection looks again whether it is there.
    pub(super) async fn forget(&self, name: &str) {
        self.ready.lock().await.remove(name);
    }

    /// Makes the collection unless it is there, and sees that it is indexed and in Milvus' memory; whether it was made.
    pub(super) async fn ensure(&self, name: &str, n_numbers: usize) -> Outcome<bool> {
        let mut ready = self.ready.lock().await;
        if ready.contains(name) {
            return Ok(false);
        }
        let is_new = !self.has(name).await?;
        if is_new {
            self.create(name, n_numbers).await?;
        }
        // Repeating these changes nothing, and one that made the collection may have ended before them.
        let index = CreateIndexRequest {
            db_name: self.database.clone(),
            collection_name: name.to_owned(),
            field_name: field::VECTOR.to_owned(),
            extra_params: vec![pair("index_type", "HNSW"), pair("metric_type", "IP"), pair("params", GRAPH)],
            index_name: field::VECTOR.to_owned(),
        };
        match self.channel.call::<Status>("CreateIndex", &index, SETUP_MAX).await {
            // There is one, perhaps of another kind that an operator chose. Where there is none, loading is refused.
            Err(Fault::Refused { reason, .. }) => tracing::debug!(collection = name, reason, "no index was made"),
            made => drop(made?),
        }
        let load = LoadCollectionRequest {
            db_name: self.database.clone(),
            collection_name: name.to_owned(),
            replica_number: 1,
        };
        self.channel.call::<Status>("LoadCollection", &load, SETUP_MAX).await?;
        self.wait_until_loaded(name).await?;
        ready.insert(name.to_owned());
        Ok(is_new)
    }

    async fn create(&self, name: &str, n_numbers: usize) -> Outcome<()> {
        let plain = |name: &str, data_type| FieldSchema { name: name.to_owned(), data_type, ..FieldSchema::default() };
        let schema = CollectionSchema {
            name: name.to_owned(),
            fields: vec![
                FieldSchema {
                    is_primary_key: true,
                    type_params: vec![pair("max_length", KEY_BYTES_MAX.to_string())],
                    ..plain(field::KEY, VARCHAR)
                },
                FieldSchema { is_partition_key: true, ..plain(field::FACE_SET, INT64) },
                plain(field::SEQUENCE, INT64),
                plain(field::DIGEST, INT64),
                plain(field::VALUES, JSON),
                FieldSchema {
                    type_params: vec![pair("dim", padded(n_numbers).to_string())],
                    ..plain(field::VECTOR, FLOAT_VECTOR)
                },
            ],
        };
        let request = CreateCollectionRequest {
            db_name: self.database.clone(),
            collection_name: name.to_owned(),
            schema: schema.encode_to_vec().into(),
            shards_num: 1,
            consistency_level: STRONG,
            num_partitions: N_PARTITIONS,
        };
        self.channel.call::<Status>("CreateCollection", &request, SETUP_MAX).await.map(drop)
    }

    /// Has everything that was written so far put into the graph, which Milvus does by itself only after a while, or when
    /// there is more.
    pub(super) async fn flush(&self, name: &str) -> Outcome<()> {
        let request = FlushRequest { db_name: self.database.clone(), collection_names: vec![name.to_owned()] };
        self.call::<FlushAnswer>(name, "Flush", &request, SETUP_MAX).await.map(drop)
    }

    /// Whether all rows that are written to Milvus' files are in the graph.
    pub(super) async fn is_indexed(&self, name: &str) -> Outcome<bool> {
        let request = DescribeIndexRequest {
            db_name: self.database.clone(),
            collection_name: name.to_owned(),
            field_name: field::VECTOR.to_owned(),
        };
        let answer: DescribeIndexAnswer = self.call(name, "DescribeIndex", &request, self.deadline).await?;
        Ok(answer.index_descriptions.iter().all(|index| index.total_rows <= index.indexed_rows))
    }

    /// Whether the part of Milvus that searches has nearly so many rows in its graph. Which rows are in it is not what
    /// [`Self::is_indexed`] tells: right after a flush there may be none that it knows of.
    pub(super) async fn is_graph_loaded(&self, name: &str, n_rows: u64) -> Outcome<bool> {
        let request = QuerySegmentsRequest { db_name: self.database.clone(), collection_name: name.to_owned() };
        let loaded: QuerySegmentsAnswer = self.call(name, "GetQuerySegmentInfo", &request, self.deadline).await?;
        Ok(are_in_graph(&loaded.infos, n_rows))
    }

    async fn wait_until_loaded(&self, name: &str) -> Outcome<()> {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        let request = LoadStateRequest { db_name: self.database.clone(), collection_name: name.to_owned() };
        let loaded = async {
            loop {
                let answer: LoadStateAnswer = self.channel.call("GetLoadState", &request, self.deadline).await?;
                if answer.state == LOADED {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let late = |_| Err(Fault::Away(format!("collection {name} is not loaded within {} s", SETUP_MAX.as_secs())));
        tokio::time::timeout(SETUP_MAX, loaded).await.unwrap_or_else(late)
    }

    /// Writes rows in place of those with the same keys; the time on Milvus' clock from which on they can be seen.
    ///
    /// The old ones are deleted first, in a call of its own: `Upsert` of 2.3 puts rows into the part that belongs to their
    /// primary key, not to their partition key, where no search by set finds them. Between the two calls, or when the second
    /// one fails, a row may be missing; the outbox has not moved then, so it is overlaid and written once more.
    pub(super) async fn put(&self, name: &str, rows: Vec<Row>) -> Outcome<u64> {
        if rows.is_empty() {
            return Ok(0);
        }
        self.delete(name, rows.iter().map(|row| row.key.as_str())).await?;
        let n_numbers = rows.first().map_or(0, |row| padded(row.vector.len()));
        let num_rows = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        let (mut face_sets, mut sequences, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        let mut vectors = Vec::with_capacity(rows.len() * n_numbers);
        for row in rows {
            keys.push(row.key);
            face_sets.push(row.face_set);
            sequences.push(row.sequence);
            digests.push(row.digest);
            values.push(Bytes::from(row.values));
            vectors.extend(row.vector);
            vectors.resize(keys.len() * n_numbers, 0.0);
        }
        let vector = VectorField { dim: n_numbers as i64, float_vector: Some(FloatArray { data: vectors }) };
        let request = InsertRequest {
            db_name: self.database.clone(),
            collection_name: name.to_owned(),
            fields_data: vec![
                scalars(field::KEY, VARCHAR, Scalars::String(StringArray { data: keys })),
                scalars(field::FACE_SET, INT64, Scalars::Long(LongArray { data: face_sets })),
                scalars(field::SEQUENCE, INT64, Scalars::Long(LongArray { data: sequences })),
                scalars(field::DIGEST, INT64, Scalars::Long(LongArray { data: digests })),
                scalars(field::VALUES, JSON, Scalars::Json(JsonArray { data: values })),
                FieldData {
                    data_type: FLOAT_VECTOR,
                    field_name: field::VECTOR.to_owned(),
                    scalars: None,
                    vectors: Some(vector),
                },
            ],
            num_rows,
        };
        self.changed(name, "Insert", &request).await
    }

    /// Deletes the rows with these keys, if they are there.
    pub(super) async fn delete<'a>(&self, name: &str, keys: impl Iterator<Item = &'a str>) -> Outcome<()> {
        let quoted: Vec<String> = keys.map(|key| format!("\"{key}\"")).collect();
        if quoted.is_empty() {
            return Ok(());
        }
        let request = DeleteRequest {
            db_name: self.database.clone(),
            collection_name: name.to_owned(),
            expr: format!("{} in [{}]", field::KEY, quoted.join(",")),
        };
        // Some versions give no time for it. None is needed: whatever a search finds is looked up in the truth.
        self.changed(name, "Delete", &request).await.map(drop)
    }

    async fn changed(&self, name: &str, method: &'static str, request: &impl Message) -> Outcome<u64> {
        let result: MutationResult = self.call(name, method, request, self.deadline).await?;
        match result.err_index.len() {
            0 => Ok(result.timestamp),
            n_rows => Err(Fault::Refused { code: 0, reason: format!("{method}: {n_rows} rows were not taken") }),
        }
    }

    /// Keys and inner products of the rows that are most like `vector` among those that pass, best first, by an approximate
    /// search that sees everything up to `seen`.
    pub(super) async fn search(
        &self,
        name: &str,
        expr: String,
        vector: &[f32],
        n_rows: usize,
        seen: u64,
    ) -> Outcome<Vec<(String, f32)>> {
        let mut bytes = BytesMut::with_capacity(vector.len() * 4);
        vector.iter().for_each(|&number| bytes.put_f32_le(number));
        bytes.resize(padded(vector.len()) * 4, 0);
        let probe = PlaceholderValue { tag: "$0".to_owned(), data_type: FLOAT_VECTOR, values: vec![bytes.freeze()] };
        let looked_at = n_rows.max(LOOKED_AT_MIN);
        let request = SearchRequest {
            db_name: self.database.clone(),
            collection_name: name.to_owned(),
            dsl: expr,
            placeholder_group: PlaceholderGroup { placeholders: vec![probe] }.encode_to_vec().into(),
            dsl_type: 1,
            search_params: vec![
                pair("anns_field", field::VECTOR),
                pair("topk", n_rows.to_string()),
                pair("metric_type", "IP"),
                pair("round_decimal", "-1"),
                pair("params", format!(r#"{{"ef":{looked_at}}}"#)),
            ],
            guarantee_timestamp: seen,
            nq: 1,
            consistency_level: consistency(seen),
        };
        let answer: SearchResults = self.call(name, "Search", &request, self.deadline).await?;
        let found = answer.results.unwrap_or_default();
        let keys = found.ids.unwrap_or_default().str_id.unwrap_or_default().data;
        if keys.len() != found.scores.len() {
            return Err(Fault::Away("Search: as many keys as scores are expected".to_owned()));
        }
        Ok(keys.into_iter().zip(found.scores).collect())
    }

    /// Keys and digests of the rows that pass, in no particular order, at most [`ROWS_MAX`]: of everything that was written,
    /// or up to `seen` only.
    pub(super) async fn list(&self, name: &str, expr: String, seen: Option<u64>) -> Outcome<Vec<(String, i64)>> {
        let seen = seen.unwrap_or(0);
        let request = QueryRequest {
            db_name: self.database.clone(),
            collection_name: name.to_owned(),
            expr,
            output_fields: vec![field::KEY.to_owned(), field::DIGEST.to_owned()],
            guarantee_timestamp: seen,
            query_params: vec![pair("limit", ROWS_MAX.to_string())],
            consistency_level: consistency(seen),
        };
        let answer: QueryResults = self.call(name, "Query", &request, self.deadline.max(LIST_MAX)).await?;
        let (mut keys, mut digests) = (Vec::new(), Vec::new());
        for column in answer.fields_data {
            match (column.field_name.as_str(), column.scalars.and_then(|scalars| scalars.data)) {
                (field::KEY, Some(Scalars::String(column))) => keys = column.data,
                (field::DIGEST, Some(Scalars::Long(column))) => digests = column.data,
                _ => {}
            }
        }
        if keys.len() != digests.len() {
            return Err(Fault::Away("Query: as many keys as digests are expected".to_owned()));
        }
        Ok(keys.into_iter().zip(digests).collect())
    }
}

/// Some versions give no time for what they wrote: then everything that was written is waited for.
fn consistency(seen: u64) -> i32 {
    if seen == 0 { STRONG } else { CUSTOMIZED }
}

/// Whether nearly so many rows are searched by the graph: some may just have been written. Of few rows Milvus makes none.
fn are_in_graph(loaded: &[QuerySegment], n_rows: u64) -> bool {
    const FEW_ROWS: i64 = 1024;
    let is_fast = |segment: &&QuerySegment| {
        segment.index_id != 0 || !segment.index_name.is_empty() || segment.num_rows < FEW_ROWS
    };
    let n_fast: u64 = loaded.iter().filter(is_fast).map(|segment| segment.num_rows.max(0).cast_unsigned()).sum();
    n_rows - n_rows / 10 <= n_fast
}

/// Milvus takes no vectors of one number: a zero behind it changes no inner product.
fn padded(n_numbers: usize) -> usize {
    n_numbers.max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milvus says that its graph is made before its searching part has it: then a set is not searched there yet.
    #[test]
    fn rows_that_are_compared_one_by_one_are_not_in_the_graph() {
        let segment = |num_rows, index_id| QuerySegment { num_rows, index_id, ..QuerySegment::default() };
        assert!(!are_in_graph(&[segment(300_000, 0), segment(200_000, 7)], 500_000), "one is compared row by row");
        assert!(!are_in_graph(&[segment(300_000, 7)], 500_000), "one is not there yet");
        assert!(!are_in_graph(&[], 500_000), "Milvus has yet to find out what it was told to write");
        assert!(are_in_graph(&[segment(300_000, 7), segment(199_100, 7), segment(900, 0)], 500_000));
        assert!(are_in_graph(&[segment(300_000, 7), segment(195_000, 7)], 500_000), "some were just written");
        let named = QuerySegment { index_name: "vector".into(), ..segment(500_000, 0) };
        assert!(are_in_graph(&[named], 500_000));
        assert!(are_in_graph(&[], 0), "no row");
    }
}
