use proptest::prelude::*;

use super::{ParseReferenceError, Reference};

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn parts(image: &str) -> (String, String, String) {
    let reference = Reference::parse(image).unwrap();
    (
        reference.familiar_name(),
        reference.tag_or_digest().to_owned(),
        reference.full(),
    )
}

#[test]
fn the_worked_examples_of_the_specification_hold() {
    let digest = format!("sha256:{HEX}");
    let cases = [
        (
            "nginx".to_owned(),
            "nginx",
            "latest",
            "docker.io/library/nginx:latest".to_owned(),
        ),
        (
            "docker.io/library/nginx:1.9".to_owned(),
            "nginx",
            "1.9",
            "docker.io/library/nginx:1.9".to_owned(),
        ),
        (
            "index.docker.io/foo/bar".to_owned(),
            "foo/bar",
            "latest",
            "docker.io/foo/bar:latest".to_owned(),
        ),
        (
            "localhost/app:1".to_owned(),
            "localhost/app",
            "1",
            "localhost/app:1".to_owned(),
        ),
        (
            "reg:5000/a/b".to_owned(),
            "reg:5000/a/b",
            "latest",
            "reg:5000/a/b:latest".to_owned(),
        ),
        (
            "docker.io/library/foo/bar:2".to_owned(),
            "library/foo/bar",
            "2",
            "docker.io/library/foo/bar:2".to_owned(),
        ),
        (
            format!("nginx:1.9@{digest}"),
            "nginx",
            &digest,
            format!("docker.io/library/nginx@{digest}"),
        ),
    ];
    for (image, name, tag, full) in cases {
        assert_eq!(parts(&image), (name.to_owned(), tag.to_owned(), full), "{image}");
    }
}

#[test]
fn kruise_1493_aliases_of_one_image_are_equal() {
    let normal = Reference::parse("docker.io/library/nginx:alpine").unwrap();
    for alias in [
        "nginx:alpine",
        "library/nginx:alpine",
        "docker.io/nginx:alpine",
        "index.docker.io/library/nginx:alpine",
    ] {
        assert_eq!(Reference::parse(alias).unwrap(), normal, "{alias}");
    }
}

#[test]
fn what_is_wrong_is_said_by_part() {
    use ParseReferenceError as E;
    type Check = fn(&E) -> bool;
    let cases: Vec<(String, Check)> = vec![
        (String::new(), |e| matches!(e, E::Empty)),
        ("UPPER/image".into(), |e| matches!(e, E::UpperCase(_))),
        ("nginx:".into(), |e| matches!(e, E::Tag { .. })),
        (HEX.into(), |e| matches!(e, E::ImageId(_))),
        ("http://x/y".into(), |e| matches!(e, E::Scheme(_))),
        ("reg.io:port/a".into(), |e| matches!(e, E::Domain { .. })),
        ("-reg.io/a".into(), |e| matches!(e, E::Domain { .. })),
        ("a//b".into(), |e| matches!(e, E::Path { .. })),
        ("a._b".into(), |e| matches!(e, E::Path { .. })),
        ("a___b".into(), |e| matches!(e, E::Path { .. })),
        ("reg.io/".into(), |e| matches!(e, E::Path { .. })),
        ("a b".into(), |e| matches!(e, E::Path { .. })),
        ("a:.tag".into(), |e| matches!(e, E::Tag { .. })),
        (format!("a:{}", "x".repeat(129)), |e| matches!(e, E::Tag { .. })),
        ("a@sha256:abc".into(), |e| matches!(e, E::Digest { .. })),
        (format!("a@sha256:{}", HEX.to_uppercase()), |e| {
            matches!(e, E::Digest { .. })
        }),
        (format!("reg.io/{}", "a".repeat(249)), |e| {
            matches!(e, E::TooLong(_))
        }),
        ("[::1]:5000/a".into(), |e| {
            matches!(e, E::Domain { .. } | E::Path { .. })
        }),
    ];
    for (image, is_right) in cases {
        let error = Reference::parse(&image).unwrap_err();
        assert!(is_right(&error), "{image}: {error:?}");
    }
}

#[test]
fn separators_and_limits_of_names_are_those_of_distribution() {
    for image in [
        "a.b",
        "a_b",
        "a__b",
        "a-b",
        "a---b",
        "a/b/c",
        "reg.io:5000/a",
        "a:_tag",
        "Reg.Example.COM/a",
    ] {
        assert!(Reference::parse(image).is_ok(), "{image}");
    }
    let longest = format!("reg.io/{}", "a".repeat(248));
    assert!(Reference::parse(&longest).is_ok());
}

/// Text that looks like a reference often enough to reach every branch.
fn reference_like() -> impl Strategy<Value = String> {
    let domain = prop_oneof![
        Just(String::new()),
        Just("docker.io/".to_owned()),
        Just("index.docker.io/".to_owned()),
        Just("localhost/".to_owned()),
        "[a-z0-9]{1,5}(\\.[a-z0-9-]{1,5}){1,2}(:[0-9]{1,5})?/",
    ];
    let path = "[a-z0-9]{1,4}([._-]{1,3}[a-z0-9]{1,3})?(/[a-z0-9]{1,4}([._-]{1,3}[a-z0-9]{1,3})?){0,2}";
    let tag = prop_oneof![Just(String::new()), ":[A-Za-z0-9_.-]{0,6}"];
    let digest = prop_oneof![4 => Just(String::new()), 1 => Just(format!("@sha256:{HEX}")), 1 => "@[a-z0-9]{3,6}:[0-9a-f]{30,34}"];
    (domain, path, tag, digest).prop_map(|(domain, path, tag, digest)| format!("{domain}{path}{tag}{digest}"))
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_without_a_panic(text in "\\PC{0,40}") {
        let _ = Reference::parse(&text);
    }

    #[test]
    fn the_full_form_parses_to_itself(text in reference_like()) {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.full()).unwrap(), reference.clone());
            let separator = if reference.digest().is_some() { '@' } else { ':' };
            let familiar = format!("{}{separator}{}", reference.familiar_name(), reference.tag_or_digest());
            prop_assert_eq!(Reference::parse(&familiar).unwrap(), reference);
        }
    }

    /// oci-spec is the oracle. It differs on purpose in four things, all of which are left out here: it takes digests of
    /// unknown algorithms by another rule, it drops no tag beside a digest, it knows no image ids, and the length limit
    /// counts before normalisation.
    #[test]
    fn oci_spec_agrees(text in reference_like()) {
        let known_digest = text.split_once('@').is_none_or(|(_, digest)| digest.starts_with("sha256:"));
        prop_assume!(known_digest);
        let ours = Reference::parse(&text);
        let theirs = text.parse::<oci_spec::distribution::Reference>();
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => {
                // `index.docker.io` is an old name of `docker.io`, which oci-spec resolves only when asked for the host to contact.
                let registry = if theirs.registry() == "index.docker.io" { "docker.io" } else { theirs.registry() };
                prop_assert_eq!(ours.domain(), registry, "{}", text);
                if theirs.registry() == registry {
                    prop_assert_eq!(ours.path(), theirs.repository(), "{}", text);
                }
                prop_assert_eq!(ours.digest(), theirs.digest(), "{}", text);
                if ours.digest().is_none() {
                    prop_assert_eq!(ours.tag(), theirs.tag(), "{}", text);
                }
            }
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "{text}: ours {ours:?}, oci-spec {theirs:?}"),
        }
    }
}
