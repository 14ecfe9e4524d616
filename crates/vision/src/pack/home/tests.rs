use super::*;

#[track_caller]
fn check_home(variables: &[(&str, &str)], expect: &str) {
    let var = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
    assert_eq!(Home::resolve(var).unwrap().path(), Path::new(expect));
}

#[test]
fn likeness_home_wins_over_the_users_data_folder() {
    check_home(&[("LIKENESS_HOME", "/models"), ("XDG_DATA_HOME", "/data"), ("HOME", "/home/anna")], "/models");
    check_home(&[("XDG_DATA_HOME", "/data"), ("HOME", "/home/anna")], "/data/likeness");
    check_home(&[("HOME", "/home/anna")], "/home/anna/.local/share/likeness");
}

#[test]
fn empty_and_relative_variables_are_treated_as_their_standards_say() {
    check_home(
        &[("LIKENESS_HOME", ""), ("XDG_DATA_HOME", "data"), ("HOME", "/home/anna")],
        "/home/anna/.local/share/likeness",
    );
    let here = std::env::current_dir().unwrap();
    check_home(&[("LIKENESS_HOME", "models")], here.join("models").to_str().unwrap());
}

#[test]
fn without_any_folder_the_error_names_the_cure() {
    let err = Home::resolve(|_| None).unwrap_err();
    assert!(
        err.hint().is_some_and(|hint| hint.ends_with("set `LIKENESS_HOME` to a folder that may be written to")),
        "{err}"
    );
}
