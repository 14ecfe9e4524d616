//! Questions about images: detect, compare, search.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{
    Candidate, Comparison, Comparisons, Direction, FaceFound, FacesFound, ImageInput, LargestFace, Library,
    ManyCompared, PersonCompared, Probe, Search, SearchAnswer, SearchFaces, SortKey, Wanted, check_count, together,
};
use crate::access::{Caller, Grant};
use crate::filter::Filter;
use crate::limits;
use crate::ports::{Analysis, AnalyzedFace, Assess, FaceChoice, FaceScope, GallerySearch, Hit};
use crate::types::{
    Aspects, Face, FaceId, FaceOwner, FaceSet, FaceSetId, FaceSetSummary, FieldSchema, FieldValue, PackId, Person,
    PersonId, PersonKey, Similarity, Template,
};
use crate::{Error, Kind, Result};

/// Hits asked of the index beyond `top_k`: as many may vanish between the scan and the look-up in the store without
/// the answer getting shorter. Only deletes that race with this very search count against it. Their records are read
/// only when a hit is found to be gone.
const SPARE_HITS: usize = 16;

impl Library {
    /// Every face in an image, largest first, with those `aspects` measured that this installation can measure
    /// ([`Library::aspects`]); none is an empty list. Needs the search grant. The image kinds.
    pub async fn detect(&self, caller: &Caller, image: ImageInput, aspects: Aspects) -> Result<Analysis> {
        caller.require(Grant::Search)?;
        let pack = self.default_pack()?.id.clone();
        let assess = Assess { aspects, faces: FaceChoice::All };
        self.analyze(
            caller,
            &image,
            &pack,
            Wanted { find: FaceChoice::All, embed: FaceChoice::None, face_side_min: 0 },
            assess,
        )
        .await
    }

    /// How similar the largest faces of two images are, with the default pack. Needs the search grant.
    /// The image kinds and `NoFaceInImage`; [`Error::field`] says which image (`first image`, `second image`). When
    /// both are at fault, the first is named.
    pub async fn compare(&self, caller: &Caller, images: [ImageInput; 2]) -> Result<Comparison> {
        caller.require(Grant::Search)?;
        let pack = self.default_pack()?.id.clone();
        let [first, second] = &images;
        let (first, second) = together::both(
            self.compared_face(caller, first, &pack, "first image"),
            self.compared_face(caller, second, &pack, "second image"),
        )
        .await?;
        let similarity = first.1.similarity(&second.1).ok_or_else(super::foreign_template)?;
        let faces = [first.0, second.0];
        let n_faces_in_images = faces.map(|face| face.n_faces_in_image);
        Ok(Comparison { faces: faces.map(|face| face.detection), n_faces_in_images, similarity, pack })
    }

    /// How similar the largest face of an image is to that of each of the others, with the default pack. Needs the search
    /// grant. `InvalidArgument` for no other image and for more than [`limits::IMAGES_PER_REQUEST_MAX`]; the image kinds and
    /// `NoFaceInImage` for the first image. The fault of another image is that image's; one that may pass, and one of ours,
    /// is the request's, which can then be sent again whole.
    pub async fn compare_many(
        &self,
        caller: &Caller,
        image: ImageInput,
        others: Vec<ImageInput>,
    ) -> Result<ManyCompared> {
        caller.require(Grant::Search)?;
        let most = limits::IMAGES_PER_REQUEST_MAX;
        if !(1..=most).contains(&others.len()) {
            let message = format!("`others` has {} images, expected 1 to {most}", others.len());
            return Err(Error::invalid("others", message));
        }
        let pack = self.default_pack()?.id.clone();
        let (probe, template) = self.compared_face(caller, &image, &pack, "image").await?;
        let mut compared = Vec::with_capacity(others.len());
        for other in &others {
            let other = match self.compared_face(caller, other, &pack, "other image").await {
                Ok((face, other)) => Ok((face, template.similarity(&other).ok_or_else(super::foreign_template)?)),
                Err(error) if error.kind().is_retryable() || error.kind() == Kind::Internal => return Err(error),
                Err(error) => Err(error),
            };
            compared.push(other);
        }
        Ok(ManyCompared { probe, others: compared, pack })
    }

    async fn compared_face(
        &self,
        caller: &Caller,
        image: &ImageInput,
        pack: &PackId,
        which: &'static str,
    ) -> Result<(LargestFace, Template)> {
        let analysis = self
            .analyze(caller, image, pack, Wanted::embedded(FaceChoice::Largest), Assess::NOTHING)
            .await
            .map_err(|err| err.with_field(which))?;
        let n_faces_in_image = analysis.n_faces;
        let Some(face) = analysis.faces.into_iter().next() else {
            return Err(Error::new(Kind::NoFaceInImage, format!("the {which} shows no face")).with_field(which));
        };
        super::check_confirmed(&face).map_err(|err| err.with_field(which))?;
        Ok((LargestFace { detection: face.detection, n_faces_in_image }, super::template_of(&face, pack)?))
    }

    /// Who in a face set resembles the probe. Needs the search grant. No candidate is an empty list. Checked in this
    /// order: `FaceSetNotFound`, filter and sort (`UnknownField`, `SortFieldNotNumeric`, `InvalidArgument`),
    /// `PackUnavailable`, the image kinds, `NoFaceInImage`; `FaceNotFound` for an enrolled probe that is not in the
    /// set, and for one that is neither kept nor enrolled.
    pub async fn search(&self, caller: &Caller, request: Search) -> Result<SearchAnswer> {
        Ok(self.search_examined(caller, request, Assess::NOTHING).await?.0)
    }

    /// The same, with what was looked for; of a face in an image `assess` says what is measured.
    pub(super) async fn search_examined(
        &self,
        caller: &Caller,
        request: Search,
        assess: Assess,
    ) -> Result<(SearchAnswer, Sought)> {
        caller.require(Grant::Search)?;
        let FaceSetSummary { face_set, n_faces } = self.existing_face_set(caller, &request.face_set).await?;
        let filter = request.filter.as_ref().map(|expr| expr.check(&face_set.schema)).transpose()?;
        check_sort(&request.sort, &face_set.schema)?;
        check_top_k(request.top_k)?;
        self.pack_of(&face_set)?;
        // A threshold that is refused is so before an image is read, but how many faces a person has bears on it.
        let person = match &request.probe {
            Probe::Person(key) => Some(self.sought_person(caller, &face_set, key).await?),
            _ => None,
        };
        let n_probes = person.as_ref().map_or(1, |sought| sought.templates.len() as u64);
        let compared = Comparisons { n_faces, n_probes };
        let similarity_min = self.similarity_min(&request.threshold, &face_set.pack, compared)?;
        let sought = match person {
            Some(sought) => sought,
            None => self.probe(caller, &face_set, &request.probe, assess).await?,
        };
        let bounds = Bounds {
            face_set: face_set.id,
            top_k: request.top_k,
            similarity_min,
            filter: filter.map(Arc::new),
            one_per_person: request.one_per_person,
        };
        let mut candidates = self.candidates(caller, &sought, bounds).await?;
        candidates.sort_by(|a, b| by_sort_keys(&request.sort, a, b));
        let detection = sought.face.as_ref().map(|face| face.detection);
        let answer = SearchAnswer {
            face_set,
            compared,
            similarity_min,
            probe: detection,
            n_faces_in_image: sought.n_faces_in_image,
            candidates,
        };
        Ok((answer, sought))
    }

    /// Who resembles each face of an image, largest face first; no face is an empty list. Needs the search grant.
    /// Checked in this order: `FaceSetNotFound`, filter (`UnknownField`, `InvalidArgument`), `PackUnavailable`, the
    /// image kinds.
    pub async fn search_faces(&self, caller: &Caller, request: SearchFaces) -> Result<FacesFound> {
        caller.require(Grant::Search)?;
        let FaceSetSummary { face_set, n_faces } = self.existing_face_set(caller, &request.face_set).await?;
        let filter = request.filter.as_ref().map(|expr| expr.check(&face_set.schema)).transpose()?.map(Arc::new);
        check_top_k(request.top_k)?;
        if !(1..=limits::FACES_PER_IMAGE_MAX).contains(&request.faces_max) {
            let (given, most) = (request.faces_max, limits::FACES_PER_IMAGE_MAX);
            return Err(Error::invalid("faces_max", format!("`faces_max` is {given}, expected 1 to {most}")));
        }
        check_count("candidates", request.faces_max * request.top_k, limits::CANDIDATES_MAX)?;
        self.pack_of(&face_set)?;
        let similarity_min = self.similarity_min(&request.threshold, &face_set.pack, Comparisons::with(n_faces))?;

        let choice = FaceChoice::LargestFew(request.faces_max);
        let analysis =
            self.analyze(caller, &request.image, &face_set.pack, Wanted::embedded(choice), Assess::NOTHING).await?;
        let mut questions = Vec::new();
        let mut faces = Vec::new();
        // The template of a doubtful face would find strangers.
        for face in analysis.faces.into_iter().take(request.faces_max).filter(|face| face.doubt.is_none()) {
            let bounds = Bounds {
                face_set: face_set.id,
                top_k: request.top_k,
                similarity_min,
                filter: filter.clone(),
                one_per_person: request.one_per_person,
            };
            faces.push(FaceFound { probe: face.detection, candidates: Vec::new() });
            let sought = Sought::one(super::template_of(&face, &face_set.pack)?);
            questions.push(async move { self.candidates(caller, &sought, bounds).await });
        }
        // All at once, since the index answers several questions with one pass over the gallery.
        for (face, candidates) in faces.iter_mut().zip(together::all(questions, limits::FACES_PER_IMAGE_MAX).await) {
            face.candidates = candidates?;
        }
        let candidates = faces.iter().flat_map(|face| &face.candidates).map(|candidate| &candidate.face);
        let persons = self.persons_of(caller, candidates).await?;
        Ok(FacesFound { face_set, faces, persons, n_faces, similarity_min })
    }

    /// Faces that were found earlier, as they are now: those of `ids` that the set still shows, and the persons that own
    /// them, each once. A set that is gone, or that the caller may not use, shows none. Needs the search grant. `InvalidArgument` for more than
    /// [`limits::SELECTOR_IDS_MAX`] ids.
    ///
    /// Whoever keeps an answer for later keeps ids, and asks here when it is sent: so what was deleted meanwhile is not in
    /// it, and nothing about people is kept outside the gallery.
    pub async fn found_earlier(
        &self,
        caller: &Caller,
        face_set: FaceSetId,
        ids: Vec<FaceId>,
    ) -> Result<(Vec<Face>, Vec<Person>)> {
        caller.require(Grant::Search)?;
        check_count("face ids", ids.len(), limits::SELECTOR_IDS_MAX)?;
        if ids.is_empty() || !caller.sees(face_set) {
            return Ok((Vec::new(), Vec::new()));
        }
        let faces = self.ports.store.faces(caller.tenant, FaceScope::FaceSet(face_set), ids).await?;
        let persons = self.persons_of(caller, &faces).await?;
        Ok((faces, persons))
    }

    /// The persons that own these faces, each once.
    async fn persons_of(&self, caller: &Caller, faces: impl IntoIterator<Item = &Face>) -> Result<Vec<Person>> {
        let mut ids: Vec<PersonId> = Vec::new();
        for face in faces {
            if let FaceOwner::Person(person) = face.owner {
                ids.push(person);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.ports.store.persons(caller.tenant, ids).await
    }

    /// A person, by its own faces.
    async fn sought_person(&self, caller: &Caller, face_set: &FaceSet, key: &PersonKey) -> Result<Sought> {
        let person = self.existing_person(caller, key).await?;
        let (templates, n_owned) = self.person_templates(caller, &person, &face_set.pack).await?;
        if templates.is_empty() {
            return Err(Error::new(Kind::FaceNotFound, format!("person `{key}` has no face of the set's pack")));
        }
        let templates = templates.into_iter().map(|(_, template)| template).collect();
        Ok(Sought { templates, own: Some((person.id, n_owned)), face: None, n_faces_in_image: None })
    }

    /// What to look for.
    async fn probe(&self, caller: &Caller, face_set: &FaceSet, probe: &Probe, assess: Assess) -> Result<Sought> {
        let template = match probe {
            Probe::Face(face) => {
                let (scope, pack) = (FaceScope::FaceSet(face_set.id), face_set.pack.clone());
                let found = self.ports.store.templates(caller.tenant, Some(scope), vec![*face], pack).await?;
                found.into_iter().next().ok_or_else(|| super::no_such_face(face_set))?.1
            }
            Probe::SourceFace(source_face) => self.known_template(caller, *source_face, &face_set.pack).await?,
            Probe::Person(key) => return self.sought_person(caller, face_set, key).await,
            Probe::Template(numbers) => {
                caller.require(Grant::Templates)?;
                let invalid = |message: String| Error::invalid("template", message);
                let n_wanted = self.pack_of(face_set)?.dimensions;
                if numbers.len() != n_wanted {
                    let (n_given, pack) = (numbers.len(), &face_set.pack);
                    let message = format!("`template` has {n_given} numbers, expected {n_wanted} of pack `{pack}`");
                    return Err(invalid(message));
                }
                let template = Template::new(face_set.pack.clone(), numbers);
                template.map_err(|error| invalid(format!("`template` is none: {error}")))?
            }
            Probe::Image(image) => {
                let (face, n_faces_in_image) = self.largest_face(caller, image, &face_set.pack, assess).await?;
                let sought = Sought::one(super::template_of(&face, &face_set.pack)?);
                return Ok(Sought { face: Some(face), n_faces_in_image, ..sought });
            }
        };
        Ok(Sought::one(template))
    }

    /// Templates of that pack of a person's faces, each with its face: of its first [`limits::SELECTOR_IDS_MAX`] the
    /// [`limits::PERSON_PROBES_MAX`] that were enrolled last. And how many faces it has, as far as they are counted.
    async fn person_templates(
        &self,
        caller: &Caller,
        person: &Person,
        pack: &PackId,
    ) -> Result<(Vec<(FaceId, Template)>, usize)> {
        let scope = FaceScope::Person(person.id);
        let page = self.ports.store.faces_from(caller.tenant, scope, 0, limits::SELECTOR_IDS_MAX as u64).await?;
        let ids: Vec<FaceId> = page.faces.into_iter().map(|face| face.id).collect();
        let n_owned = ids.len();
        let order: HashMap<FaceId, usize> = ids.iter().enumerate().map(|(idx, id)| (*id, idx)).collect();
        let mut templates = self.ports.store.templates(caller.tenant, Some(scope), ids, pack.clone()).await?;
        templates.sort_by_key(|(id, _)| order.get(id).copied());
        templates.drain(..templates.len().saturating_sub(limits::PERSON_PROBES_MAX));
        Ok((templates, n_owned))
    }

    /// How similar the largest face of an image is to the most similar face of a person, with the pack of the set that the
    /// person joined first, or the default one. Needs the search grant. `PersonNotFound`, `PackUnavailable`, the image kinds,
    /// `NoFaceInImage`; `FaceNotFound` if the person has no face of that pack.
    pub async fn compare_person(&self, caller: &Caller, image: ImageInput, key: &PersonKey) -> Result<PersonCompared> {
        caller.require(Grant::Search)?;
        let person = self.existing_person(caller, key).await?;
        let face_sets = self.ports.store.face_sets_of(caller.tenant, person.id).await?;
        let pack = match face_sets.first() {
            Some(face_set) => self.pack_of(face_set)?.id.clone(),
            None => self.default_pack()?.id.clone(),
        };
        let (templates, _) = self.person_templates(caller, &person, &pack).await?;
        if templates.is_empty() {
            return Err(Error::new(Kind::FaceNotFound, format!("person `{key}` has no face of pack `{pack}`")));
        }
        let (face, n_faces_in_image) = self.largest_face(caller, &image, &pack, Assess::NOTHING).await?;
        let probe = super::template_of(&face, &pack)?;
        let n_compared = templates.len() as u64;
        let similarities = templates.iter().filter_map(|(id, template)| Some((*id, template.similarity(&probe)?)));
        let best = similarities.max_by(|a, b| a.1.get().total_cmp(&b.1.get()));
        let (id, similarity) = best.ok_or_else(super::foreign_template)?;
        Ok(PersonCompared { face: id, similarity, n_compared, pack, probe: face.detection, n_faces_in_image })
    }

    async fn largest_face(
        &self,
        caller: &Caller,
        image: &ImageInput,
        pack: &PackId,
        assess: Assess,
    ) -> Result<(AnalyzedFace, Option<usize>)> {
        let analysis = self.analyze(caller, image, pack, Wanted::embedded(FaceChoice::Largest), assess).await?;
        let n_faces = analysis.n_faces;
        let no_face = || Error::new(Kind::NoFaceInImage, "the image shows no face");
        let face = analysis.faces.into_iter().next().ok_or_else(no_face)?;
        super::check_confirmed(&face)?;
        Ok((face, n_faces))
    }

    /// The best by similarity to any of the faces that are sought, older first among equals, as the store knows them now.
    /// A person's own faces are left out.
    pub(super) async fn candidates(&self, caller: &Caller, sought: &Sought, bounds: Bounds) -> Result<Vec<Candidate>> {
        let (top_k, scope) = (bounds.top_k, FaceScope::FaceSet(bounds.face_set));
        // Room for the faces of the person itself, which come first.
        let n_own = match sought.own {
            Some(_) if bounds.one_per_person => 1,
            Some((_, n_owned)) => n_owned,
            None => 0,
        };
        let question = |probe: &Template| GallerySearch {
            face_set: bounds.face_set,
            probe: probe.clone(),
            top_k: top_k + n_own + SPARE_HITS,
            similarity_min: bounds.similarity_min,
            filter: bounds.filter.clone(),
            one_per_person: bounds.one_per_person,
        };
        // All at once, since the index answers several questions with one pass over the gallery.
        let mut questions = Vec::with_capacity(sought.templates.len());
        for probe in &sought.templates {
            questions.push(self.hits(caller, question(probe)));
        }
        let answers = together::all(questions, limits::PERSON_PROBES_MAX).await;
        let mut hits = best_of(answers.into_iter().collect::<Result<_>>()?);
        if let Some((own, _)) = sought.own {
            hits.retain(|hit| hit.person != Some(own));
        }
        if bounds.one_per_person {
            each_person_once(&mut hits);
        }
        hits.truncate(top_k + SPARE_HITS);
        let spare_hits = hits.split_off(hits.len().min(top_k));
        let mut candidates = self.known_hits(caller, scope, &hits).await?;
        if candidates.len() < hits.len() && !spare_hits.is_empty() {
            candidates.extend(self.known_hits(caller, scope, &spare_hits).await?);
            candidates.truncate(top_k);
        }
        Ok(candidates)
    }

    async fn hits(&self, caller: &Caller, question: GallerySearch) -> Result<Vec<Hit>> {
        let _slot = self.turns.searches.enter(caller.share()).await?;
        self.ports.index.search(question).await
    }

    /// The hits with their records, in order. The store is the truth: a hit it no longer has was deleted while we looked,
    /// and is left out.
    pub(super) async fn known_hits(&self, caller: &Caller, scope: FaceScope, hits: &[Hit]) -> Result<Vec<Candidate>> {
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        let ids = hits.iter().map(|hit| hit.face).collect();
        let faces = self.ports.store.faces(caller.tenant, scope, ids).await?;
        let mut faces: HashMap<_, Face> = faces.into_iter().map(|face| (face.id, face)).collect();
        let known = hits.iter().filter_map(|hit| {
            let face = faces.remove(&hit.face)?;
            Some(Candidate { face, similarity: hit.similarity })
        });
        Ok(known.collect())
    }
}

/// What a search looks for.
pub(super) struct Sought {
    /// The templates, at least one and at most [`limits::PERSON_PROBES_MAX`]: whoever resembles any of them is found.
    templates: Vec<Template>,
    /// The person whose faces these are, and how many it has.
    own: Option<(PersonId, usize)>,
    /// The face in the image it came from, if it came from one.
    pub(super) face: Option<AnalyzedFace>,
    /// How many faces that image shows, if that was asked for.
    n_faces_in_image: Option<usize>,
}

impl Sought {
    fn one(template: Template) -> Self {
        Self { templates: vec![template], own: None, face: None, n_faces_in_image: None }
    }
}

/// What bounds a search besides what it looks for.
pub(super) struct Bounds {
    pub(super) face_set: FaceSetId,
    pub(super) top_k: usize,
    pub(super) similarity_min: Similarity,
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) one_per_person: bool,
}

/// The hits of several questions in one order, each face once with its best similarity.
fn best_of(mut answers: Vec<Vec<Hit>>) -> Vec<Hit> {
    if answers.len() <= 1 {
        return answers.pop().unwrap_or_default();
    }
    let mut hits: Vec<Hit> = answers.into_iter().flatten().collect();
    // As the index does: of equals the one enrolled first.
    let place = |hit: &Hit| (hit.sequence, hit.face);
    hits.sort_by(|a, b| b.similarity.get().total_cmp(&a.similarity.get()).then_with(|| place(a).cmp(&place(b))));
    let mut seen = HashSet::new();
    hits.retain(|hit| seen.insert(hit.face));
    hits
}

/// Keeps the first face of each person, of hits with the best first.
fn each_person_once(hits: &mut Vec<Hit>) {
    let mut seen = HashSet::new();
    hits.retain(|hit| hit.person.is_none_or(|person| seen.insert(person)));
}

fn check_top_k(top_k: usize) -> Result<()> {
    if (1..=limits::TOP_K_MAX).contains(&top_k) {
        return Ok(());
    }
    Err(Error::invalid("top_k", format!("`top_k` is {top_k}, expected 1 to {}", limits::TOP_K_MAX)))
}

fn check_sort(sort: &[SortKey], schema: &FieldSchema) -> Result<()> {
    check_count("sort keys", sort.len(), limits::SORT_KEYS_MAX)?;
    for key in sort {
        let unknown = || super::unknown_field(&key.field).with_field("sort");
        let (_, field_type) = schema.find(&key.field).ok_or_else(unknown)?;
        if !field_type.is_numeric() {
            let message =
                format!("cannot sort by custom field `{}` of type {}, expected a number", key.field, field_type.word());
            return Err(Error::new(Kind::SortFieldNotNumeric, message));
        }
    }
    Ok(())
}

/// Order by the keys, the first one first; faces without the field come last either way. Equal candidates keep their
/// order (the sort is stable), which is by falling similarity.
fn by_sort_keys(sort: &[SortKey], a: &Candidate, b: &Candidate) -> Ordering {
    let by_key = |key: &SortKey| {
        let (a, b) = (a.face.fields.get(&key.field), b.face.fields.get(&key.field));
        match (a, b) {
            (Some(a), Some(b)) => match key.direction {
                Direction::Ascending => by_number(a, b),
                Direction::Descending => by_number(b, a),
            },
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    };
    sort.iter().map(by_key).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Order of two values of one numeric field; they are of one variant, since the schema says so.
fn by_number(a: &FieldValue, b: &FieldValue) -> Ordering {
    match (a, b) {
        (FieldValue::Whole(a), FieldValue::Whole(b)) => a.cmp(b),
        // Not `total_cmp`: zero and minus zero are one number.
        (FieldValue::Real(a), FieldValue::Real(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        _ => Ordering::Equal,
    }
}
