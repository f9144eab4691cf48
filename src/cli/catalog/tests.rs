//! What is proposed for documents of each kind, and which documents are refused.

use serde_json::{Value, json};

use super::document::MOST;
use super::import::proposing::propose;

fn scope_of(proposal: &str, scope: &str) -> Value {
    let file: Value = serde_json::from_str(proposal).unwrap();
    let found = file["scopes"].as_array().unwrap().iter().find(|entry| entry["scope"] == scope);
    found.unwrap_or_else(|| panic!("{scope} is not in {proposal}")).clone()
}

fn actions(proposal: &str, scope: &str) -> Vec<String> {
    serde_json::from_value(scope_of(proposal, scope)["actions"].clone()).unwrap_or_default()
}

const PETS: &str = r#"
openapi: 3.1.0
info: { title: "Pet store", version: "1" }
paths:
  /pets:
    get: { operationId: listPets, responses: { 200: { description: ok } } }
    post: { operationId: create_pet, responses: { "201": { description: ok } } }
    parameters: [ { name: limit, in: query } ]
  /pets/{id}:
    get: {}
    delete: { operationId: pets.delete }
  /pets/search:
    post: { operationId: searchPets }
  /pets/{id}/purge:
    get: { operationId: purgePet }
  /token:
    get: { operationId: getToken }
  /pets/{id}/permissions:
    put: { operationId: putPermissions }
"#;

#[test]
fn an_openapi_document_is_split_by_its_methods_and_by_names_that_contradict_them() {
    let made = propose("openapi", PETS, None).unwrap();
    assert_eq!(actions(&made, "/api/pet-store:read"), ["pet-store:GetPetsId", "pet-store:ListPets"]);
    let write = ["pet-store:CreatePet", "pet-store:PetsDelete", "pet-store:PurgePet", "pet-store:SearchPets"];
    assert_eq!(actions(&made, "/api/pet-store:write"), write);
    assert_eq!(actions(&made, "/api/pet-store"), ["pet-store:GetToken", "pet-store:PutPermissions"]);
    let why = scope_of(&made, "/api/pet-store:write")["$comment"].to_string();
    for reason in
        ["GET /pets/{id}/purge: it is GET, but its name begins with Purge", "see whether it only reads"]
    {
        assert!(why.contains(reason), "{why}");
    }
}

#[test]
fn the_same_document_in_json_gives_the_same_proposal() {
    let document = json!({ "swagger": "2.0", "info": { "title": "Pet store" },
        "paths": { "/pets": { "get": { "operationId": "listPets" }, "delete": { "operationId": "deletePets" } } } });
    let yaml = "swagger: '2.0'\ninfo: { title: Pet store }\npaths: { /pets: { get: { operationId: listPets }, delete: { operationId: deletePets } } }";
    let made = propose("openapi", &document.to_string(), None).unwrap();
    assert_eq!(made, propose("openapi", yaml, None).unwrap());
    assert_eq!(propose("openapi", yaml, Some("animals")).unwrap(), made.replace("pet-store", "animals"));
}

#[test]
fn tools_read_only_where_the_server_says_so() {
    let tools = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": [
        { "name": "list_notes", "annotations": { "readOnlyHint": true } },
        { "name": "get_note" },
        { "name": "add_note", "annotations": { "readOnlyHint": false, "destructiveHint": false } },
        { "name": "wipe", "annotations": { "readOnlyHint": true, "destructiveHint": true } },
    ]}});
    let made = propose("mcp", &tools.to_string(), Some("notes")).unwrap();
    let (read, write) = (actions(&made, "/mcp/notes:read"), actions(&made, "/mcp/notes:write"));
    assert!(
        read.contains(&"notes:CallTool/list_notes".to_owned())
            && read.contains(&"notes:ListTools".to_owned())
    );
    assert_eq!(read.iter().filter(|action| action.contains("CallTool")).count(), 1, "{read:?}");
    for tool in ["get_note", "add_note", "wipe"] {
        assert!(write.contains(&format!("notes:CallTool/{tool}")), "{write:?}");
    }
    let bare = propose("mcp", &tools["result"].to_string(), Some("notes")).unwrap();
    assert_eq!(bare, made);
    assert!(propose("mcp", &tools.to_string(), None).unwrap_err().contains("--product"));
}

#[test]
fn a_list_is_split_by_what_it_says_and_else_by_the_first_word() {
    let lines = "# of 2014-05-26\nDescribeDisks\nStopInstance # stops\n\nBatchGetThings\nGetAndDeleteDisk\nFrobnicate\n\
        DescribeDisks\nGetSecretValue\nPutRolePolicy\nGetawayDisk\n";
    let made = propose("api-list", lines, Some("ecs")).unwrap();
    assert_eq!(actions(&made, "/acs/ecs:read"), ["ecs:BatchGetThings", "ecs:DescribeDisks"]);
    let write = ["ecs:Frobnicate", "ecs:GetAndDeleteDisk", "ecs:GetawayDisk", "ecs:StopInstance"];
    assert_eq!(actions(&made, "/acs/ecs:write"), write);
    assert_eq!(actions(&made, "/acs/ecs"), ["ecs:GetSecretValue", "ecs:PutRolePolicy"]);
    let names =
        r#"["ecs:DescribeDisks", {"name": "StopInstance"}, {"name": "Frobnicate", "access": "read"}]"#;
    let made = propose("api-list", names, Some("ecs")).unwrap();
    assert_eq!(actions(&made, "/acs/ecs:read"), ["ecs:DescribeDisks", "ecs:Frobnicate"]);
}

#[test]
fn the_lists_that_clouds_publish_are_understood() {
    let alibaba = json!({ "info": { "style": "RPC", "product": "Ecs", "version": "2014-05-26" }, "apis": {
        "DescribeDisks": { "summary": "…", "systemTags": { "operationType": "get" } },
        "RunCommand": { "systemTags": { "operationType": "create" } }, "AcceptThing": {} } });
    let made = propose("api-list", &alibaba.to_string(), None).unwrap();
    assert_eq!(actions(&made, "/acs/ecs:read"), ["ecs:DescribeDisks"]);
    assert_eq!(actions(&made, "/acs/ecs:write"), ["ecs:AcceptThing", "ecs:RunCommand"]);
    let aws = json!({ "Name": "s3", "Actions": [
        { "Name": "GetObject", "Annotations": { "Properties": { "IsWrite": false, "IsPermissionManagement": false } } },
        { "Name": "PutObject", "Annotations": { "Properties": { "IsWrite": true } } },
        { "Name": "PutBucketAcl", "Annotations": { "Properties": { "IsWrite": true, "IsPermissionManagement": true } } },
    ]});
    let made = propose("api-list", &aws.to_string(), None).unwrap();
    assert_eq!(actions(&made, "/acs/s3:read"), ["s3:GetObject"]);
    assert_eq!(actions(&made, "/acs/s3"), ["s3:PutBucketAcl"]);
}

#[test]
fn hostile_names_and_texts_are_refused_or_made_harmless() {
    for name in ["Get*", "ecs:Get?", "a\"b", "Größe", "x\u{202e}y", "", &"A".repeat(129), "../../etc"] {
        let complaint = propose("api-list", &json!([name]).to_string(), Some("ecs")).unwrap_err();
        assert!(!complaint.contains('\u{202e}') && complaint.len() < 400, "{complaint}");
        let tools = json!({ "tools": [{ "name": format!("{name} ") }] });
        propose("mcp", &tools.to_string(), Some("notes")).unwrap_err();
    }
    let dressed = PETS.replace("Pet store", "Pet\\u202e\\u0007 store\\n\\\"},{");
    let made = propose("openapi", &dressed, Some("pets")).unwrap();
    assert!(!made.chars().any(|c| c == '\u{202e}' || c == '\u{7}'), "{made}");
    propose("openapi", &PETS.replace("listPets", "größe"), None).unwrap_err();
    for product in ["", "a b", "Ecs", "ä", "*", "../x", &"a".repeat(41)] {
        assert!(
            propose("api-list", "DescribeDisks", Some(product)).unwrap_err().contains("--product"),
            "{product}"
        );
    }
}

#[test]
fn two_operations_never_become_one_action() {
    let twice = PETS.replace("create_pet", "listPets");
    assert!(propose("openapi", &twice, None).unwrap_err().contains("GET /pets and POST /pets"));
    let alike = PETS.replace("create_pet", "list-pets");
    assert!(propose("openapi", &alike, None).unwrap_err().contains("would both be the action"));
    propose("api-list", "DescribeDisks\ndescribedisks", Some("ecs")).unwrap_err();
    let contradicting = r#"[{"name":"Foo","access":"read"},{"name":"Foo","access":"write"}]"#;
    propose("api-list", contradicting, Some("ecs")).unwrap_err();
    for document in [
        r#"{"openapi":"3.1.0","paths":{"/a":{"get":{}},"/a":{"delete":{}}}}"#,
        r#"{"openapi":"3.1.0","paths":{"/a":{"get":{},"get":{}}}}"#,
        "openapi: 3.1.0\npaths:\n  /a: { get: {} }\n  /a: { delete: {} }\n",
        r#"{"apis":{"A":{},"A":{"systemTags":{"operationType":"get"}}}}"#,
    ] {
        for kind in ["openapi", "api-list"] {
            propose(kind, document, Some("x")).unwrap_err();
        }
    }
}

#[test]
fn what_is_no_such_document_is_refused_in_one_line() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
        d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\n\
        openapi: [*f,*f,*f,*f,*f,*f,*f,*f]\npaths: {}\n";
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    for kind in ["openapi", "mcp", "api-list"] {
        for text in [
            "",
            "{",
            "[",
            "{}",
            "[]",
            "null",
            "7",
            bomb,
            &deep,
            "<html>",
            "\u{0}",
            "{\"tools\":7}",
            "a: b: c",
        ] {
            // A line of plain text is a list of one operation.
            if (kind, text) == ("api-list", "null") {
                continue;
            }
            let complaint = propose(kind, text, Some("x")).unwrap_err();
            assert!(complaint.lines().count() == 1 && complaint.len() < 500, "{kind} {text:?}: {complaint}");
        }
    }
    let going_on = r#"{"tools":[{"name":"a"}],"nextCursor":"b"}"#;
    assert!(propose("mcp", going_on, Some("x")).unwrap_err().contains("nextCursor"));
    let reference =
        r#"{"openapi":"3.1.0","info":{"title":"x"},"paths":{"/a":{"$ref":"file:///etc/passwd"}}}"#;
    assert!(propose("openapi", reference, None).unwrap_err().contains("reference"));
    let many: Vec<String> = (0..=MOST).map(|n| format!("Get{n}")).collect();
    assert!(propose("api-list", &many.join("\n"), Some("x")).unwrap_err().contains("more than"));
}
