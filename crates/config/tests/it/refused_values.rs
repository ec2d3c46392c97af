//! Files whose values do not fit: each rule with its message, word by word, and its position, in
//! `refused_values.txt`.

use crate::refused::faults;

fn hold(name: &str) {
    crate::table::hold(include_str!("refused_values.txt"), name, faults);
}

#[test]
fn every_table_is_held() {
    crate::table::every_group_has_a_test(
        include_str!("refused_values.txt"),
        include_str!("refused_values.rs"),
    );
}

#[test]
fn an_upstream_has_either_a_url_or_a_command() {
    hold("an_upstream_has_either_a_url_or_a_command");
}

#[test]
fn a_web_api_has_a_document_and_a_place_and_nothing_of_a_server() {
    hold("a_web_api_has_a_document_and_a_place_and_nothing_of_a_server");
}

#[test]
fn an_export_goes_to_one_place_that_can_be_reached() {
    hold("an_export_goes_to_one_place_that_can_be_reached");
}

#[test]
fn a_limit_is_of_one_kind_and_says_for_what() {
    hold("a_limit_is_of_one_kind_and_says_for_what");
}

#[test]
fn several_addresses_are_for_a_server_without_sessions() {
    hold("several_addresses_are_for_a_server_without_sessions");
}

#[test]
fn a_life_has_its_dates_in_order_and_something_else_in_its_place() {
    hold("a_life_has_its_dates_in_order_and_something_else_in_its_place");
}

#[test]
fn a_command_has_a_program() {
    hold("a_command_has_a_program");
}

#[test]
fn a_sandbox_names_what_it_lets_through() {
    hold("a_sandbox_names_what_it_lets_through");
}

#[test]
fn a_url_is_one_that_can_be_asked() {
    hold("a_url_is_one_that_can_be_asked");
}

#[test]
fn keys_of_one_kind_of_upstream_are_refused_on_the_other() {
    hold("keys_of_one_kind_of_upstream_are_refused_on_the_other");
}

#[test]
fn headers_that_are_the_gateways_own_are_refused() {
    hold("headers_that_are_the_gateways_own_are_refused");
}

#[test]
fn a_secret_is_in_one_place() {
    hold("a_secret_is_in_one_place");
}

#[test]
fn names_are_plain_free_and_not_taken_twice() {
    hold("names_are_plain_free_and_not_taken_twice");
}

#[test]
fn an_endpoint_is_made_of_upstreams_that_there_are() {
    hold("an_endpoint_is_made_of_upstreams_that_there_are");
}

#[test]
fn a_new_name_is_fit_and_given_once() {
    hold("a_new_name_is_fit_and_given_once");
}

#[test]
fn the_separator_cannot_be_part_of_an_upstreams_name() {
    hold("the_separator_cannot_be_part_of_an_upstreams_name");
}

#[test]
fn hosts_and_origins_are_what_headers_carry() {
    hold("hosts_and_origins_are_what_headers_carry");
}

#[test]
fn times_and_sizes_are_read_or_explained() {
    hold("times_and_sizes_are_read_or_explained");
}

#[test]
fn a_ring_is_in_one_place() {
    hold("a_ring_is_in_one_place");
}

#[test]
fn a_store_is_one_of_three_kinds() {
    hold("a_store_is_one_of_three_kinds");
}

#[test]
fn operators_come_in_with_a_token_on_the_loopback_interface() {
    hold("operators_come_in_with_a_token_on_the_loopback_interface");
}

#[test]
fn operators_sign_in_where_their_groups_are_known() {
    hold("operators_sign_in_where_their_groups_are_known");
}

#[test]
fn the_gateway_proves_itself_to_a_server_in_one_way() {
    hold("the_gateway_proves_itself_to_a_server_in_one_way");
}

#[test]
fn who_may_call_is_said_in_full() {
    hold("who_may_call_is_said_in_full");
}

#[test]
fn a_replica_is_where_others_reach_it() {
    hold("a_replica_is_where_others_reach_it");
}

#[test]
fn sessions_of_an_upstream_are_some_and_last_for_a_while() {
    hold("sessions_of_an_upstream_are_some_and_last_for_a_while");
}

#[test]
fn a_rule_for_tasks_has_a_pattern_and_a_time() {
    hold("a_rule_for_tasks_has_a_pattern_and_a_time");
}

#[test]
fn a_log_has_a_name_and_times_that_hold() {
    hold("a_log_has_a_name_and_times_that_hold");
}

#[test]
fn times_and_limits_of_tasks_fit_together() {
    hold("times_and_limits_of_tasks_fit_together");
}

#[test]
fn a_retry_is_of_a_failure_that_may_pass() {
    hold("a_retry_is_of_a_failure_that_may_pass");
}

#[test]
fn an_idempotency_key_goes_where_the_server_looks() {
    hold("an_idempotency_key_goes_where_the_server_looks");
}

/// Keys for which nothing at all is a choice, and what it means.
const ZERO_IS_A_CHOICE: [(&str, &str); 19] = [
    ("audit.export_wait_days", "retention does not wait"),
    ("drain_delay", "nobody in front has to notice"),
    ("limits.queue_max", "nobody waits"),
    ("drain_timeout", "stop at once"),
    ("cache.list_ttl", "a list without a hint is never fresh"),
    ("cache.ttl_max", "nothing is ever fresh"),
    ("auth.clock_skew", "clocks are the same"),
    ("auth.issuers.*.keys_stale_max", "an issuer has to be there"),
    ("auth.issuers.*.sign_in.recheck", "nobody is asked about"),
    ("rates[].costs[].cost", "it is free"),
    ("pins.reread", "a list is read before each call"),
    ("upstreams.*.pins.reread", "its list is read before each call"),
    ("tasks.tombstone", "an expired task is unknown at once"),
    ("upstreams.*.resilience.retries", "nothing is asked again"),
    ("upstreams.*.resilience.budget_percent", "there are no further requests but a few"),
    ("upstreams.*.resilience.budget_min", "there are no further requests but a share"),
    ("upstreams.*.resilience.eject.percent_max", "no address is left alone"),
    ("upstreams.*.list_ttl", "its lists are never fresh"),
    ("upstreams.*.stdio.stderr_lines_max", "nothing is kept"),
];

#[test]
fn every_limit_refuses_zero_unless_zero_is_a_choice() {
    let mut held = 0;
    for path in tidegate_config::key_paths() {
        let text = tidegate_config::explain(&path).expect("it is a key");
        let zero = match text.lines().nth(1).expect("a line on what it takes") {
            "  takes    number" | "  takes    size" => "0",
            "  takes    duration" => "0s",
            _ => continue,
        };
        let target = match path.split('.').next() {
            Some("auth") => "issuer: 'https://a'",
            _ if path.contains("stdio") => "command: [a]",
            _ => "url: 'http://a'",
        };
        let mut file = serde_json::json!({});
        let mut at = &mut file;
        for key in path.split('.') {
            let map = at.as_object_mut().expect("a map");
            at = match key.strip_suffix("[]") {
                // Besides the key, what such an item must have.
                Some(list) => {
                    let item = match list {
                        "rates" => serde_json::json!([{"name": "a", "quota": {"per": "day"}}]),
                        "costs" => serde_json::json!([{"tools": "a"}]),
                        _ => serde_json::json!([{"max_attempts": 2}]),
                    };
                    &mut map.entry(list).or_insert(item)[0]
                }
                None => map.entry(if key == "*" { "x" } else { key }).or_insert(serde_json::json!({})),
            };
        }
        *at = serde_json::json!(zero);
        let file =
            file.to_string().replace("\"0\"", "0").replacen("{\"x\":{", &format!("{{\"x\":{{{target}, "), 1);
        let loaded = tidegate_config::load_str(&file, "f");
        let place = path.replace('*', "x").replace("[]", "[0]");
        let refused = loaded.as_ref().is_err_and(|faults| faults.iter().any(|fault| fault.path == place));
        let choice = ZERO_IS_A_CHOICE.iter().any(|(key, _)| *key == path);
        assert_eq!(refused, !choice && path != "endpoints.*.upstreams", "{path}: {file}: {loaded:?}");
        held += 1;
    }
    assert!(held > 40, "only {held} keys were held against zero");
}

#[test]
fn a_check_is_named_and_looks_for_something() {
    hold("a_check_is_named_and_looks_for_something");
}

#[test]
fn whoever_is_asked_by_a_check_can_be_asked() {
    hold("whoever_is_asked_by_a_check_can_be_asked");
}

#[test]
fn there_are_at_most_a_hundred_rules() {
    let rules = |count: usize| {
        let rules: Vec<_> = (0..count).map(|n| format!("{{tools: t{n}, when: always}}")).collect();
        format!("tasks: {{host: [{}]}}", rules.join(", "))
    };
    assert!(tidegate_config::load_str(&rules(100), "f").is_ok());
    assert_eq!(
        faults(&rules(101)),
        "tidegate.yaml:1:9: tasks.host: there are 101 rules, and there may be 100"
    );
    let rules = "{max_attempts: 2}, ".repeat(101);
    assert_eq!(
        faults(&format!("upstreams: {{a: {{url: 'http://a', retries: [{rules}]}}}}")),
        "tidegate.yaml:1:34: upstreams.a.retries: there are 101 rules, and there may be 100"
    );
}

#[test]
fn policies_are_some_and_each_once() {
    hold("policies_are_some_and_each_once");
}

#[test]
fn governance_names_a_file_and_people() {
    hold("governance_names_a_file_and_people");
}

#[test]
fn arguments_for_policies_can_be_told_apart() {
    hold("arguments_for_policies_can_be_told_apart");
}

#[test]
fn a_label_is_on_something() {
    hold("a_label_is_on_something");
}

#[test]
fn policies_have_at_most_a_hundred_files_and_labels_and_two_hundred_arguments() {
    let list = |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<String>();
    let files = list(101, &|n| format!("f{n}, "));
    assert_eq!(
        faults(&format!("policy: {{files: [{files}]}}")),
        "tidegate.yaml:1:10: policy.files: there are 101 of them, and there may be 100"
    );
    let arguments = list(201, &|n| format!("a{n}: long, "));
    assert_eq!(
        faults(&format!("policy: {{presets: [everyone], arguments: {{{arguments}}}}}")),
        "tidegate.yaml:1:31: policy.arguments: there are 201 of them, and there may be 200"
    );
    let labels = list(101, &|n| format!("l{n}: ['*'], "));
    assert_eq!(
        faults(&format!("upstreams: {{a: {{url: 'http://a', labels: {{{labels}}}}}}}")),
        "tidegate.yaml:1:34: upstreams.a.labels: there are 101 of them, and there may be 100"
    );
}

#[test]
fn there_are_at_most_a_thousand_upstreams() {
    let names: String = (0..1001).map(|n| format!("  u{n}: {{}}\n")).collect();
    assert_eq!(
        faults(&format!("upstreams:\n{names}")),
        "tidegate.yaml:1:1: upstreams: there are 1001 of them, and there may be 1000"
    );
}

#[test]
fn an_extension_has_an_identifier_and_what_is_said_of_it_means_something() {
    hold("an_extension_has_an_identifier_and_what_is_said_of_it_means_something");
}

#[test]
fn a_card_is_one_that_can_be_told() {
    hold("a_card_is_one_that_can_be_told");
}

#[test]
fn a_card_leads_where_its_readers_can_go() {
    hold("a_card_leads_where_its_readers_can_go");
}
