//! Requests that may come as a form as well as in JSON: their members out of the form.

use likeness_domain::Error;

use super::body::{Form, FromForm};
use super::dto;

impl FromForm for dto::AddFaces {
    fn from_form(form: &mut Form) -> Result<Self, Error> {
        Ok(Self {
            image: form.needed_image("image")?,
            subject: form.words.text("subject"),
            external_id: form.words.text("external_id"),
            note: form.words.text("note"),
            fields: dto::Values::new(),
            fields_as_text: form.words.fields(),
            faces: form.words.text("faces"),
            accept_doubtful: form.words.flag("accept_doubtful")?,
            any_turn: form.words.flag("any_turn")?,
        })
    }
}

impl FromForm for dto::Search {
    fn from_form(form: &mut Form) -> Result<Self, Error> {
        Ok(Self {
            image: form.image("image"),
            face_id: form.words.text("face_id"),
            person: form.words.text("person"),
            template: form.words.text("template"),
            top: form.words.parsed("top", "a whole number")?,
            similarity_min: form.words.parsed("similarity_min", "a number from -1 to 1")?,
            far: form.words.parsed("far", "a number from 0 to 1")?,
            false_matches: form.words.parsed("false_matches", "a number above 0")?,
            filter: form.words.text("filter"),
            sort: form.words.text("sort").map(|keys| keys.split(',').map(str::to_owned).collect()).unwrap_or_default(),
            one_per_person: form.words.flag("one_per_person")?,
            explain: form.words.flag("explain")?,
            crops: form.words.flag("crops")?,
            any_turn: form.words.flag("any_turn")?,
        })
    }
}

impl FromForm for dto::Compare {
    fn from_form(form: &mut Form) -> Result<Self, Error> {
        Ok(Self {
            image_a: form.needed_image("image_a")?,
            image_b: form.needed_image("image_b")?,
            far: form.words.parsed("far", "a number from 0 to 1")?,
            explain: form.words.flag("explain")?,
            crops: form.words.flag("crops")?,
            any_turn: form.words.flag("any_turn")?,
        })
    }
}

impl FromForm for dto::AddPersonFace {
    fn from_form(form: &mut Form) -> Result<Self, Error> {
        Ok(Self { image: form.needed_image("image")?, source: form.words.text("source") })
    }
}

impl FromForm for dto::SearchPicture {
    fn from_form(form: &mut Form) -> Result<Self, Error> {
        Ok(Self {
            image: form.needed_image("image")?,
            faces_max: form.words.parsed("faces_max", "a whole number")?,
            top: form.words.parsed("top", "a whole number")?,
            similarity_min: form.words.parsed("similarity_min", "a number from -1 to 1")?,
            far: form.words.parsed("far", "a number from 0 to 1")?,
            false_matches: form.words.parsed("false_matches", "a number above 0")?,
            filter: form.words.text("filter"),
            one_per_person: form.words.flag("one_per_person")?,
        })
    }
}

impl FromForm for dto::PutUpload {
    fn from_form(form: &mut Form) -> Result<Self, Error> {
        Ok(Self { image: form.needed_image("image")? })
    }
}

impl FromForm for dto::ComparePerson {
    fn from_form(form: &mut Form) -> Result<Self, Error> {
        Ok(Self { image: form.needed_image("image")?, far: form.words.parsed("far", "a number from 0 to 1")? })
    }
}

impl FromForm for dto::Detect {
    fn from_form(form: &mut Form) -> Result<Self, Error> {
        Ok(Self {
            image: form.needed_image("image")?,
            any_turn: form.words.flag("any_turn")?,
            assess: form.words.text("assess"),
        })
    }
}
