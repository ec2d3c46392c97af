//! Client certificates: who their holders are, and tokens that are bound to one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use identity::*;
use model::{Clock as _, Timestamp};
use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType, date_time_ymd};
use serde_json::{Value, json};

use crate::forge::{self, Forge, NOW, URL, World, challenges, claims, headers, to_crm, world_with};

const AGENT: &str = "spiffe://example.org/ns/prod/sa/agent";

/// A certificate with changes. Who signed it is not looked at here.
fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Arc<Certificate> {
    let mut params = CertificateParams::default();
    change(&mut params);
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Arc::new(Certificate::read(Bytes::copy_from_slice(made.der())).unwrap())
}

fn of_uris(uris: &[&str]) -> Arc<Certificate> {
    certificate(|params| {
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    })
}

fn of_hosts(hosts: &[&str]) -> Arc<Certificate> {
    certificate(|params| {
        let name = |host: &&str| SanType::DnsName((*host).try_into().unwrap());
        params.subject_alt_names = hosts.iter().map(name).collect();
    })
}

fn accepting(names: &'static [&'static str]) -> Option<Accepts> {
    Some(Arc::new(move |name: &str| names.contains(&name)))
}

fn holders() -> Certificates {
    Certificates {
        subject: NameKind::Uri,
        accepts: None,
        tenant: "acme".to_owned(),
        scopes: vec!["crm:read".to_owned()],
    }
}

fn move_to(world: &World, time: Timestamp) {
    world.clock.advance(time.since(world.clock.now()));
}

/// A gate that takes certificates and nothing else, with changes.
fn only_certificates(change: impl FnOnce(&mut forge::Wanted)) -> World {
    world_with(|wanted| {
        wanted.rules.allow = vec![Allowed::Certificate];
        wanted.certificates = Some(holders());
        change(wanted);
    })
}

#[tokio::test]
async fn who_holds_a_certificate_comes_in_by_its_name_for_as_long_as_it_is_good() {
    let world = only_certificates(|_| {});
    let own = of_uris(&[AGENT]);
    let caller = world.present_by(Some(&own), &[]).await.unwrap();
    assert_eq!(caller.principal.to_string(), format!("acme/mtls:{AGENT}"));
    assert_eq!((caller.kind, caller.issuer.as_deref()), (Kind::Workload, Some("mtls")));
    assert_eq!(caller.scopes, ["crm:read"]);
    assert_eq!(caller.expires, Some(own.expires()));
    assert!(caller.actors.is_empty() && caller.groups.is_empty() && caller.key.is_none());
    // A renewed one is of the same.
    let renewed = world.present_by(Some(&of_uris(&[AGENT])), &[]).await.unwrap();
    assert_eq!(renewed.principal, caller.principal);
    assert_ne!(renewed.fingerprint, caller.fingerprint);
}

#[tokio::test]
async fn a_connection_outlives_a_certificate_and_its_holder_does_not() {
    let world = only_certificates(|_| {});
    let own = certificate(|params| {
        params.subject_alt_names = vec![SanType::URI(AGENT.try_into().unwrap())];
        params.not_after = date_time_ymd(2026, 11, 24);
    });
    let caller = world.present_by(Some(&own), &[]).await.unwrap();
    assert!(world.gate.still("crm", &caller));
    move_to(&world, own.expires());
    let denied = world.present_by(Some(&own), &[]).await.expect_err("its time is over");
    assert_eq!((denied.status().as_u16(), denied.reason), (401, Reason::BadCertificate));
    assert_eq!(denied.text, "the certificate has expired");
    assert!(!world.gate.still("crm", &caller));
}

#[tokio::test]
async fn without_a_certificate_or_at_another_kind_of_endpoint_nobody_comes_in() {
    let world = only_certificates(|_| {});
    let denied = world.present(&[]).await.expect_err("there is none");
    assert_eq!((denied.status().as_u16(), denied.reason), (401, Reason::NoCredentials));
    assert_eq!(challenges(&denied), ["Bearer"], "nothing that sends a client to an issuer");
    // Where tokens are asked for, a certificate is none.
    let tokens = world_with(|wanted| wanted.certificates = Some(holders()));
    let denied = tokens.present_by(Some(&of_uris(&[AGENT])), &[]).await.expect_err("it is no token");
    assert_eq!(denied.reason, Reason::NoCredentials);
    // Nor where the way is allowed and nothing says who holders are.
    let unsaid = only_certificates(|wanted| wanted.certificates = None);
    assert!(unsaid.present_by(Some(&of_uris(&[AGENT])), &[]).await.is_err());
}

#[tokio::test]
async fn a_header_has_to_be_good_by_itself_whatever_certificate_comes_with_it() {
    let world = only_certificates(|wanted| wanted.rules.allow.push(Allowed::Issuer("corp".to_owned())));
    let own = of_uris(&[AGENT]);
    let good = format!("Bearer {}", world.forge.token(&claims(|_| {})));
    let caller = world.present_by(Some(&own), &[("authorization", &good)]).await.unwrap();
    assert_eq!(caller.principal.subject(), "corp:ann");
    let old = format!("Bearer {}", world.forge.token(&claims(|c| c["exp"] = json!(NOW - 600))));
    for bad in [&old, "Bearer x", "Bearer tgk_0000000000_x", "Basic YTpi", "Bearer"] {
        let denied = world.present_by(Some(&own), &[("authorization", bad)]).await.expect_err(bad);
        assert!([400, 401].contains(&denied.status().as_u16()), "{bad}: {denied:?}");
        assert_ne!(denied.reason, Reason::BadCertificate, "{bad}");
    }
    // At an endpoint that takes no tokens, too.
    let world = only_certificates(|_| {});
    let denied = world.present_by(Some(&own), &[("authorization", &good)]).await.expect_err("no issuer");
    assert_eq!((denied.status().as_u16(), denied.reason), (401, Reason::BadToken));
}

#[tokio::test]
async fn a_name_that_is_not_taken_lets_nobody_in_and_an_empty_list_takes_none() {
    let named = only_certificates(|wanted| {
        wanted.certificates = Some(Certificates { accepts: accepting(&[AGENT]), ..holders() });
    });
    named.present_by(Some(&of_uris(&[AGENT])), &[]).await.unwrap();
    let none = only_certificates(|wanted| {
        wanted.certificates = Some(Certificates { accepts: accepting(&[]), ..holders() });
    });
    let other = "spiffe://example.org/ns/test/sa/agent";
    for (world, uri) in [(&named, other), (&none, AGENT), (&none, other)] {
        let denied = world.present_by(Some(&of_uris(&[uri])), &[]).await.expect_err(uri);
        assert_eq!((denied.status().as_u16(), denied.reason), (401, Reason::BadCertificate));
        assert!(!denied.text.contains(uri), "{}", denied.text);
    }
    // Not as nobody in particular either.
    let open = only_certificates(|wanted| {
        wanted.rules.allow.push(Allowed::Anonymous);
        wanted.certificates = Some(Certificates { accepts: accepting(&[]), ..holders() });
    });
    assert!(open.present_by(Some(&of_uris(&[AGENT])), &[]).await.is_err());
    assert_eq!(open.present(&[]).await.unwrap().kind, Kind::Anonymous);
}

#[tokio::test]
async fn only_one_name_of_the_kind_that_the_operator_chose_says_who_somebody_is() {
    let of_kind = |subject| {
        only_certificates(|wanted| wanted.certificates = Some(Certificates { subject, ..holders() }))
    };
    let email = |text: &str| SanType::Rfc822Name(text.try_into().unwrap());
    let all = certificate(|params| {
        params.subject_alt_names = vec![
            SanType::URI(AGENT.try_into().unwrap()),
            SanType::DnsName("Agent.Example.org".try_into().unwrap()),
            email("agent@example.org"),
        ];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Agent Smith");
    });
    for (kind, name) in [
        (NameKind::Uri, AGENT),
        (NameKind::Dns, "agent.example.org"),
        (NameKind::Email, "agent@example.org"),
        (NameKind::Common, "Agent Smith"),
    ] {
        let caller = of_kind(kind).present_by(Some(&all), &[]).await.unwrap();
        assert_eq!(caller.principal.subject(), format!("mtls:{name}"));
    }
    let nameless = certificate(|params| params.distinguished_name = rcgen::DistinguishedName::new());
    for (kind, own) in [
        (NameKind::Uri, of_uris(&[AGENT, "spiffe://example.org/other"])),
        (NameKind::Uri, of_uris(&[AGENT, AGENT])),
        (NameKind::Uri, of_hosts(&["agent.example.org"])),
        (NameKind::Uri, of_uris(&[&format!("spiffe://{}", "x".repeat(300))])),
        (NameKind::Uri, of_uris(&["spiffe://a/b\nc"])),
        (NameKind::Dns, of_uris(&[AGENT])),
        (NameKind::Dns, of_hosts(&["*.example.org"])),
        (NameKind::Email, of_uris(&[AGENT])),
        (NameKind::Common, nameless),
    ] {
        let denied = of_kind(kind).present_by(Some(&own), &[]).await.expect_err("it has no such name");
        assert_eq!(denied.reason, Reason::BadCertificate, "{own:?}");
        assert!(denied.text.contains("must have one name"), "{}", denied.text);
    }
}

#[test]
fn what_is_no_certificate_is_not_read() {
    let own = of_uris(&[AGENT]);
    let der = own.der();
    for at in 0..der.len() {
        assert!(Certificate::read(der.slice(..at)).is_err(), "cut at {at}");
        let mut altered = der.to_vec();
        for byte in [0, 0x30, 0x7f, 0xff] {
            altered[at] = byte;
            // Another certificate perhaps, but never a panic.
            let _ = Certificate::read(altered.clone().into());
        }
    }
    let longer = [&der[..], b"x"].concat();
    assert_eq!(Certificate::read(longer.into()), Err(CertificateError::Unreadable));
    let large = vec![0x30; CERTIFICATE_BYTES_MAX + 1];
    assert_eq!(Certificate::read(large.into()), Err(CertificateError::Large));
    let odd = certificate(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = DnValue::Utf8String("a\u{7}b".to_owned());
        params.distinguished_name.push(DnType::CommonName, name);
    });
    assert!(Certificates { subject: NameKind::Common, ..holders() }.caller(&odd, Timestamp(0)).is_err());
}

#[tokio::test]
async fn a_certificate_grants_what_the_operator_says_and_an_endpoint_may_need_more() {
    let world = only_certificates(|wanted| wanted.rules.scopes = vec!["crm:write".to_owned()]);
    let denied = world.present_by(Some(&of_uris(&[AGENT])), &[]).await.expect_err("a scope is missing");
    assert_eq!((denied.status().as_u16(), denied.reason), (403, Reason::Scope));
    assert_eq!(denied.text, "the certificate does not grant crm:write");
    let world = only_certificates(|wanted| wanted.rules.scopes = vec!["crm:read".to_owned()]);
    world.present_by(Some(&of_uris(&[AGENT])), &[]).await.unwrap();
    // A handshake has proved that its key is there: there is nothing for DPoP to add.
    let world = only_certificates(|wanted| wanted.rules.possession = Possession::Required);
    let caller = world.present_by(Some(&of_uris(&[AGENT])), &[]).await.unwrap();
    assert!(world.gate.still("crm", &caller));
}

#[tokio::test]
async fn a_stream_ends_once_its_holder_would_be_somebody_else_or_nobody() {
    let caller = only_certificates(|_| {}).present_by(Some(&of_uris(&[AGENT])), &[]).await.unwrap();
    let still = |change: &dyn Fn(&mut forge::Wanted)| only_certificates(change).gate.still("crm", &caller);
    assert!(still(&|_| {}));
    let holders_are = |change: fn(&mut Certificates)| {
        still(&|wanted: &mut forge::Wanted| change(wanted.certificates.as_mut().unwrap()))
    };
    assert!(holders_are(|own| own.accepts = accepting(&[AGENT])));
    assert!(!holders_are(|own| own.accepts = accepting(&["spiffe://example.org/other"])));
    assert!(!holders_are(|own| own.subject = NameKind::Dns));
    assert!(!holders_are(|own| own.tenant = "globex".to_owned()));
    assert!(!holders_are(|own| own.scopes.clear()));
    assert!(!still(&|wanted| wanted.certificates = None));
    assert!(!still(&|wanted| wanted.rules.allow = vec![Allowed::Keys]));
    assert!(still(&|wanted| wanted.rules.allow.push(Allowed::Keys)));
}

/// A token that is bound to a certificate.
fn bound(world: &World, thumbprint: &str, change: impl FnOnce(&mut Value)) -> String {
    world.forge.token(&claims(|claims| {
        claims["cnf"] = json!({"x5t#S256": thumbprint});
        change(claims);
    }))
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_is_good_over_its_connections_alone() {
    let world = world_with(|wanted| wanted.certificates = Some(holders()));
    let (own, other) = (of_uris(&[AGENT]), of_uris(&[AGENT]));
    let bearer = format!("Bearer {}", bound(&world, own.thumbprint(), |_| {}));
    let sent = [("authorization", &*bearer)];
    // Whichever comes first: what is remembered of a token must not let another connection in.
    for _ in 0..2 {
        let caller = world.present_by(Some(&own), &sent).await.unwrap();
        assert_eq!(caller.principal.subject(), "corp:ann", "it is the token's");
        assert_eq!(caller.bound_certificate.as_deref(), Some(own.thumbprint()));
        for wrong in [None, Some(&other)] {
            let denied = world.present_by(wrong, &sent).await.expect_err("another connection");
            assert_eq!((denied.status().as_u16(), denied.reason), (401, Reason::BadToken));
            assert!(challenges(&denied)[0].contains("error=\"invalid_token\""), "{denied:?}");
        }
    }
    move_to(&world, own.expires());
    assert!(world.present_by(Some(&own), &sent).await.is_err(), "both have expired");
}

#[tokio::test]
async fn an_expired_certificate_is_no_proof_for_a_token_that_is_bound_to_it() {
    let world = world_with(|wanted| wanted.certificates = Some(holders()));
    let own = certificate(|params| params.not_after = date_time_ymd(2026, 11, 23) + Duration::from_secs(60));
    let bearer = format!("Bearer {}", bound(&world, own.thumbprint(), |_| {}));
    world.present_by(Some(&own), &[("authorization", &bearer)]).await.unwrap();
    move_to(&world, own.expires());
    let denied = world.present_by(Some(&own), &[("authorization", &bearer)]).await.expect_err("expired");
    assert!(denied.text.contains("bound to a certificate"), "{}", denied.text);
}

#[tokio::test]
async fn a_token_that_is_bound_twice_needs_both_proofs() {
    let world = world_with(|wanted| wanted.certificates = Some(holders()));
    let (own, key) = (of_uris(&[AGENT]), Forge::new(Algorithm::ES256, "client"));
    let token = bound(&world, own.thumbprint(), |claims| claims["cnf"]["jkt"] = json!(key.thumbprint()));
    let scheme = format!("DPoP {token}");
    let with = |proof: bool| {
        let mut all = vec![("authorization".to_owned(), scheme.clone())];
        all.extend(proof.then(|| ("dpop".to_owned(), key.proof(&token, |_, _| {}))));
        all
    };
    for (certificate, proof, good) in
        [(true, true, true), (true, false, false), (false, true, false), (false, false, false)]
    {
        let all = with(proof);
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (&**name, &**value)).collect();
        let came = world.present_by(certificate.then_some(&own), &all).await;
        assert_eq!(came.is_ok(), good, "certificate: {certificate}, proof: {proof}");
    }
    // Where DPoP is asked for, a certificate does not stand in for it.
    let strict = world_with(|wanted| {
        wanted.certificates = Some(holders());
        wanted.rules.possession = Possession::Required;
    });
    let bearer = format!("Bearer {}", bound(&strict, own.thumbprint(), |_| {}));
    assert!(strict.present_by(Some(&own), &[("authorization", &bearer)]).await.is_err());
}

#[tokio::test]
async fn what_is_asked_for_and_what_is_proved_is_told() {
    let world = world_with(|wanted| {
        wanted.certificates = Some(holders());
        wanted.rules.allow.push(Allowed::Certificate);
    });
    let document = world.gate.metadata("crm", URL, "/crm/mcp").unwrap();
    assert_eq!(document["tls_client_certificate_bound_access_tokens"], true, "{document}");
    let plain = forge::world().gate.metadata("crm", URL, "/crm/mcp").unwrap();
    assert!(plain.get("tls_client_certificate_bound_access_tokens").is_none(), "{plain}");

    let own = of_uris(&[AGENT]);
    let nothing = headers(&[]);
    let shown = Presented { certificate: Some(&own), ..to_crm(&nothing) };
    let told = world.gate.explain("crm", &shown, Terms::default()).await;
    let found: Vec<_> = told.steps.iter().map(|step| (step.what, step.found.as_str(), step.passed)).collect();
    let principal = format!("acme/mtls:{AGENT}");
    assert_eq!(found, [("certificate", principal.as_str(), true), ("scopes", "[\"crm:read\"]", true)]);
    assert_eq!(told.to_value()["caller"]["issuer"], "mtls");

    // Whoever asks about a token has perhaps not the certificate, and is told which it is.
    let bearer = format!("Bearer {}", bound(&world, own.thumbprint(), |_| {}));
    let sent = headers(&[("authorization", &bearer)]);
    let told = world.gate.explain("crm", &to_crm(&sent), Terms::default()).await;
    let wanted = format!("a request needs a proof by the certificate {}", own.thumbprint());
    assert!(told.steps.iter().any(|step| step.found == wanted), "{:?}", told.steps);
    assert_eq!(told.to_value()["caller"]["boundToCertificate"], own.thumbprint());
    let other = of_uris(&[AGENT]);
    let wrong = Presented { certificate: Some(&other), ..to_crm(&sent) };
    assert!(world.gate.explain("crm", &wrong, Terms::default()).await.caller.is_none());
}
