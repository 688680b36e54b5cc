use super::*;

fn keyring(auths: &[(&str, &str)]) -> Keyring {
    let mut keyring = Keyring::default();
    for (key, user) in auths {
        let config = serde_json::json!({"auths": {*key: {"username": user, "password": "p"}}});
        let data = BTreeMap::from([(DOCKER_CONFIG_JSON.1.to_owned(), config.to_string())]);
        keyring.add_secret(DOCKER_CONFIG_JSON.0, &data).expect("readable");
    }
    keyring
}

fn users(auths: &[(&str, &str)], repository: &str) -> Vec<String> {
    keyring(auths)
        .lookup(repository)
        .iter()
        .map(|credential| credential.username.clone())
        .collect()
}

#[test]
fn keys_fit_by_host_and_path_prefix() {
    for (key, repository, fits) in [
        ("r.io", "r.io/a/b", true),
        ("r.io/a", "r.io/a/b", true),
        ("r.io/c", "r.io/a/b", false),
        ("https://index.docker.io/v1/", "docker.io/library/nginx", true),
        ("docker.io/library/nginx", "docker.io/library/nginx", true),
        (
            "*.dkr.ecr.us-east-1.amazonaws.com",
            "1.dkr.ecr.us-east-1.amazonaws.com/x",
            true,
        ),
        ("*.io", "a.r.io/x", false),
        ("r.io:5000", "r.io/a", false),
        ("r.io", "r.io:5000/a", false),
        ("http://r.io:5000/v2/", "r.io:5000/a", true),
        ("https://r.io/v2/a", "r.io/a/b", true),
        ("r.io/", "r.io/a", true),
        ("https://index.docker.io/v1/", "r.io/library/nginx", false),
        ("https://index.docker.io/v1/", "localhost/nginx", false),
    ] {
        assert_eq!(
            !users(&[(key, "u")], repository).is_empty(),
            fits,
            "{key} {repository}"
        );
    }
}

#[test]
fn the_most_specific_key_comes_first() {
    assert_eq!(
        users(
            &[("r.io", "host"), ("r.io/a", "path"), ("r.io/a/b", "image")],
            "r.io/a/b"
        ),
        ["image", "path", "host"]
    );
}

#[test]
fn several_credentials_of_one_key_are_all_tried() {
    assert_eq!(
        users(&[("r.io", "one"), ("r.io", "two"), ("r.io", "one")], "r.io/a"),
        ["one", "two"]
    );
}

#[test]
fn a_fitting_key_takes_precedence_over_the_default_of_docker_hub() {
    let auths = [("index.docker.io", "default"), ("docker.io/library", "fits")];
    assert_eq!(users(&auths, "docker.io/library/nginx"), ["fits"]);
}

#[test]
fn the_auth_field_overrides_the_others() {
    // "user:pass:word", without padding in the second.
    for auth in ["dXNlcjpwYXNzOndvcmQ=", "dXNlcjpwYXNzOndvcmQ"] {
        let config = format!(r#"{{"r.io": {{"auth": "{auth}", "username": "x", "password": "y"}}}}"#);
        let mut keyring = Keyring::default();
        keyring
            .add_secret(DOCKER_CFG.0, &BTreeMap::from([(DOCKER_CFG.1.to_owned(), config)]))
            .expect("readable");
        let found = keyring.lookup("r.io/a");
        assert_eq!(
            (found[0].username.as_str(), found[0].password.as_str()),
            ("user", "pass:word")
        );
    }
}

#[test]
fn secrets_of_other_types_hold_nothing() {
    let mut keyring = Keyring::default();
    let data = BTreeMap::from([("key.json".to_owned(), "{}")]);
    assert_eq!(keyring.add_secret("Opaque", &data), Ok(()));
    assert!(keyring.is_empty());
}

#[test]
fn unreadable_secrets_are_told_apart_and_never_quoted() {
    let add = |content: Option<&str>| {
        let data: BTreeMap<_, _> = content
            .into_iter()
            .map(|content| (DOCKER_CONFIG_JSON.1.to_owned(), content.to_owned()))
            .collect();
        Keyring::default().add_secret(DOCKER_CONFIG_JSON.0, &data)
    };
    assert_eq!(add(None), Err(KeyringError::MissingKey(".dockerconfigjson")));
    assert_eq!(add(Some("{hunter2")), Err(KeyringError::Json));
    assert_eq!(
        add(Some(r#"{"auths": {"r.io": {"auth": "hunter2!"}}}"#)),
        Err(KeyringError::Auth)
    );
    let credential = Credential {
        username: "u".into(),
        password: "hunter2".into(),
    };
    assert_eq!(format!("{credential:?}"), "Credential(..)");
}

#[test]
fn the_rows_of_the_specification_hold() {
    // 9 to 14 of its table of credentials are in `keys_fit_by_host_and_path_prefix`; 15 and 16 need more than one secret.
    assert_eq!(
        users(&[("r.io", "wrong"), ("r.io/a", "right")], "r.io/a/b"),
        ["right", "wrong"]
    );
    assert_eq!(
        users(
            &[("*.r.io", "glob"), ("a.r.io", "exact"), ("a.r.io/x", "path")],
            "a.r.io/x/y"
        ),
        ["path", "exact", "glob"]
    );
    assert_eq!(
        users(&[("r[a-c].io", "class"), ("r?.io", "any")], "rb.io/x"),
        ["class", "any"]
    );
}

#[test]
fn a_broken_secret_does_not_spoil_the_others() {
    let mut keyring = keyring(&[("r.io", "good")]);
    let broken = |text: &str| BTreeMap::from([(DOCKER_CONFIG_JSON.1.to_owned(), text.to_owned())]);
    let half = r#"{"auths": {"r.io": {"username": "half", "password": "p"}, "x.io": {"auth": "!"}}}"#;
    for text in ["{", "7", half] {
        assert!(keyring.add_secret(DOCKER_CONFIG_JSON.0, &broken(text)).is_err());
    }
    let old = BTreeMap::from([(
        DOCKER_CFG.1.to_owned(),
        r#"{"r.io": {"username": "old", "password": "p"}}"#,
    )]);
    keyring.add_secret(DOCKER_CFG.0, &old).expect("readable");
    let users: Vec<_> = keyring
        .lookup("r.io/a")
        .iter()
        .map(|credential| credential.username.as_str())
        .collect();
    assert_eq!(
        users,
        ["good", "old"],
        "nothing of a secret that can not be read as a whole"
    );
}
