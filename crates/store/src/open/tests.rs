use super::*;

#[test]
fn addresses_are_told_apart() {
    assert_eq!(Place::parse("memory:").unwrap(), Place::Memory);
    assert_eq!(Place::parse("sqlite:/srv/faces").unwrap(), Place::Folder("/srv/faces".into()));
    assert_eq!(Place::parse("faces").unwrap(), Place::Folder("faces".into()));
    assert_eq!(Place::parse("./odd:name").unwrap(), Place::Folder("./odd:name".into()));
    assert_eq!(Place::parse("").unwrap_err().message(), "the path of the data folder is empty");
    assert_eq!(Place::parse("postgres://localhost/faces").unwrap_err().kind(), Kind::Unsupported);
    assert_eq!(
        Place::parse("mysql://localhost/faces").unwrap_err().message(),
        "store `mysql:` is not known, expected `sqlite:/path/to/folder` or `memory:`"
    );
}
