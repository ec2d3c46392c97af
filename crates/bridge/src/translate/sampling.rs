//! `sampling/createMessage` in revisions that know less of it.
//!
//! Until 2025-06-18 a message holds one block and the model gets no tools; lists of blocks, `tools`,
//! `toolChoice`, `tool_use` and `tool_result` came with 2025-11-25; audio with 2025-03-26 (client/sampling of
//! each revision).

use protocol::json::{Kind, Object, array};
use protocol::{Raw, Revision};

use super::content::{text, with_text};
use super::splice::{map_items, object, says};
use super::tool;

/// The parameters of a question to the client's model, in the client's revision.
///
/// # Errors
/// What the question needs and the revision lacks.
pub(super) fn question(to: Revision, params: &Object) -> Result<Raw, &'static str> {
    if to.features().sampling_tools {
        return Ok(with_tools(to, params));
    }
    let offers = params.get("tools").is_some_and(|t| t.items().is_none_or(|items| !items.is_empty()));
    let demands = params
        .get("toolChoice")
        .is_some_and(|choice| !object(&choice).is_some_and(|choice| says(&choice, "mode", "none")));
    if offers || demands {
        return Err("tools for the client's model");
    }
    let mut messages = Vec::new();
    let Some(came) = params.get("messages").as_ref().and_then(Raw::items) else { return Ok(params.raw()) };
    let mut changed = false;
    for message in &came {
        changed |= one_block_each(to, message, &mut messages)?;
    }
    let edit = params.edit().remove("tools").remove("toolChoice");
    let edit = if changed { edit.set("messages", array(&messages)) } else { edit };
    Ok(edit.finish())
}

/// 2025-11-25 has it all, but wants an object as a schema's root and as structured content.
fn with_tools(to: Revision, params: &Object) -> Raw {
    let tools = params.get("tools").map(|tools| map_items(&tools, |_, tool| tool::down(to, tool)));
    let messages = params.get("messages").map(|messages| {
        map_items(&messages, |_, message| {
            let message = object(message)?;
            let content = message.get("content")?;
            let new = match content.kind() {
                Kind::Array => map_items(&content, |_, block| tool_result(block)),
                _ => tool_result(&content)?,
            };
            (new != content).then(|| message.edit().set("content", new).finish())
        })
    });
    params.edit().put("tools", tools).put("messages", messages).finish()
}

/// A `tool_result` block whose structured content is no object; `None`: it is, or the block is another.
fn tool_result(block: &Raw) -> Option<Raw> {
    let block = object(block)?;
    let structured = block.get("structuredContent").filter(|s| s.kind() != Kind::Object)?;
    if !says(&block, "type", "tool_result") {
        return None;
    }
    let content = with_text(block.get("content").as_ref(), &structured);
    Some(block.edit().remove("structuredContent").set("content", content).finish())
}

/// Adds a message, cut into several of the same role where it holds several blocks. True: it is not as it
/// came.
fn one_block_each(to: Revision, message: &Raw, out: &mut Vec<Raw>) -> Result<bool, &'static str> {
    let Some((fields, content)) = object(message).and_then(|m| m.get("content").map(|c| (m, c))) else {
        out.push(message.clone());
        return Ok(false);
    };
    let Some(mut blocks) = content.items() else {
        let new = plain_block(to, &content)?;
        out.push(
            new.as_ref()
                .map_or_else(|| message.clone(), |c| fields.edit().set("content", c.clone()).finish()),
        );
        return Ok(new.is_some());
    };
    if blocks.is_empty() {
        blocks.push(text(""));
    }
    for block in &blocks {
        let block = plain_block(to, block)?.unwrap_or_else(|| block.clone());
        out.push(fields.edit().set("content", block).finish());
    }
    Ok(true)
}

/// A block of a message without tools; `None`: as it is.
fn plain_block(to: Revision, block: &Raw) -> Result<Option<Raw>, &'static str> {
    let Some(fields) = object(block) else { return Ok(None) };
    if says(&fields, "type", "tool_use") || says(&fields, "type", "tool_result") {
        return Err("the use of tools by the client's model");
    }
    Ok(audio_note(to, &fields))
}

/// Sampling has no embedded resources, so audio cannot keep its bytes in 2024-11-05.
fn audio_note(to: Revision, block: &Object) -> Option<Raw> {
    if to.features().audio || !says(block, "type", "audio") {
        return None;
    }
    Some(note(block))
}

/// What stands in for a block that cannot be given: `[audio: audio/wav]`.
fn note(block: &Object) -> Raw {
    let word = |name: &str| block.get(name).and_then(|v| v.as_str().map(|s| s.into_owned()));
    let kind = word("type").unwrap_or_else(|| "content".to_owned());
    match word("mimeType").or_else(|| word("name")) {
        Some(more) => text(&format!("[{kind}: {more}]")),
        None => text(&format!("[{kind}]")),
    }
}

/// The answer of the client's model, in the server's revision: one block until 2025-06-18.
///
/// Several blocks become one text, in which a note stands for each that is no text: the server gave no tools,
/// so what it can use of the answer is its text.
pub(super) fn answer(to: Revision, value: &Object) -> Raw {
    if to.features().sampling_tools {
        return value.raw();
    }
    let Some(content) = value.get("content") else { return value.raw() };
    let one = |block: &Raw| object(block).and_then(|b| audio_note(to, &b)).unwrap_or_else(|| block.clone());
    let new = match content.items().as_deref() {
        None => one(&content),
        Some([block]) => one(block),
        Some(blocks) => {
            let words: Vec<String> = blocks.iter().map(words).collect();
            text(&words.join("\n"))
        }
    };
    value.edit().set("content", new).finish()
}

fn words(block: &Raw) -> String {
    let Some(fields) = object(block) else { return String::new() };
    let said = |block: &Object| block.get("text").and_then(|t| t.as_str().map(|s| s.into_owned()));
    said(&fields).or_else(|| said(&object(&note(&fields))?)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::testing::{LEGACY, line};

    fn asked(to: Revision, text: &'static str) -> Result<String, &'static str> {
        question(to, &object(&Raw::literal(text)).expect("an object")).map(|raw| raw.to_string())
    }

    fn answered(to: Revision, text: &'static str) -> String {
        answer(to, &object(&Raw::literal(text)).expect("an object")).to_string()
    }

    #[test]
    fn a_plain_question_passes_every_revision_untouched() {
        let plain =
            r#"{"messages":[ {"role":"user","content":{"type":"text","text":"?"}}],"maxTokens":1.0e1,"x":1}"#;
        for to in LEGACY {
            assert_eq!(asked(to, plain).as_deref(), Ok(plain));
        }
    }

    #[test]
    fn tools_are_refused_before_2025_11_25_unless_there_are_none() {
        for params in [
            r#"{"messages":[],"tools":[{"name":"t","inputSchema":{"type":"object"}}]}"#,
            r#"{"messages":[],"toolChoice":{"mode":"auto"}}"#,
            r#"{"messages":[{"role":"user","content":{"type":"tool_result","toolUseId":"1","content":[]}}]}"#,
            line(
                r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"t",
                "input":{}}]}]}"#,
            ),
        ] {
            let fits = LEGACY.map(|to| asked(to, params).is_ok());
            assert_eq!(fits, [false, false, false, true], "{params}");
        }
        let none = r#"{"messages":[],"tools":[],"toolChoice":{"mode":"none"}}"#;
        assert_eq!(asked(Revision::V2025_06_18, none).as_deref(), Ok(r#"{"messages":[]}"#));
        assert_eq!(asked(Revision::V2025_11_25, none).as_deref(), Ok(none));
    }

    #[test]
    fn a_message_of_several_blocks_becomes_several_messages() {
        let params = line(
            r#"{"messages":[{"role":"user","_meta":{"k":1},"content":[{"type":"text","text":"a"},
            {"type":"text","text":"b"}]}],"maxTokens":1}"#,
        );
        let want = line(
            r#"{"messages":[{"role":"user","_meta":{"k":1},"content":{"type":"text","text":"a"}},
            {"role":"user","_meta":{"k":1},"content":{"type":"text","text":"b"}}],"maxTokens":1}"#,
        );
        assert_eq!(LEGACY.map(|to| asked(to, params).expect("fits")), [want, want, want, params]);
        let nothing = r#"{"messages":[{"role":"user","content":[]}]}"#;
        let want = r#"{"messages":[{"role":"user","content":{"type":"text","text":""}}]}"#;
        assert_eq!(asked(Revision::V2025_06_18, nothing).as_deref(), Ok(want));
    }

    #[test]
    fn audio_becomes_a_note_in_2024_11_05() {
        let params =
            r#"{"messages":[{"role":"user","content":{"type":"audio","data":"","mimeType":"audio/wav"}}]}"#;
        let want = r#"{"messages":[{"role":"user","content":{"type":"text","text":"[audio: audio/wav]"}}]}"#;
        assert_eq!(LEGACY.map(|to| asked(to, params).expect("fits")), [want, params, params, params]);
    }

    #[test]
    fn structured_results_and_schemas_that_are_no_objects_do_not_reach_2025_11_25() {
        let params = line(
            r#"{"messages":[{"role":"user","content":[{"type":"tool_result","toolUseId":"1",
            "content":[],"structuredContent":[1.0]}]}],"tools":[{"name":"t",
            "inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}]}"#,
        );
        let want = line(
            r#"{"messages":[{"role":"user","content":[{"type":"tool_result","toolUseId":"1",
            "content":[{"type":"text","text":"[1.0]"}]}]}],"tools":[{"name":"t",
            "inputSchema":{"type":"object"}}]}"#,
        );
        assert_eq!(asked(Revision::V2025_11_25, params).as_deref(), Ok(want));
        let told = line(
            r#"{"messages":[{"role":"user","content":{"type":"tool_result","toolUseId":"1",
            "content":[{"type":"text","text":"one"}],"structuredContent":1}}]}"#,
        );
        let want = line(
            r#"{"messages":[{"role":"user","content":{"type":"tool_result","toolUseId":"1",
            "content":[{"type":"text","text":"one"}]}}]}"#,
        );
        assert_eq!(asked(Revision::V2025_11_25, told).as_deref(), Ok(want));
    }

    #[test]
    fn an_answer_of_several_blocks_becomes_one_before_2025_11_25() {
        let one =
            r#"{"role":"assistant","model":"m","content":[{"type":"image","data":"","mimeType":"i/p"}]}"#;
        let want =
            r#"{"role":"assistant","model":"m","content":{"type":"image","data":"","mimeType":"i/p"}}"#;
        assert_eq!(LEGACY.map(|to| answered(to, one)), [want, want, want, one]);
        let two = line(
            r#"{"model":"m","content":[{"type":"text","text":"a"},{"type":"image","data":"",
            "mimeType":"i/p"}],"x":1}"#,
        );
        let want = r#"{"model":"m","content":{"type":"text","text":"a\n[image: i/p]"},"x":1}"#;
        assert_eq!(LEGACY.map(|to| answered(to, two)), [want, want, want, two]);
        let odd = r#"{"content":[{"type":"tool_use","name":"n"},{"type":"x"},{},7]}"#;
        let want = r#"{"content":{"type":"text","text":"[tool_use: n]\n[x]\n[content]\n"}}"#;
        assert_eq!(LEGACY.map(|to| answered(to, odd)), [want, want, want, odd]);
        let audio = r#"{"content":{"type":"audio","data":"","mimeType":"a/w"}}"#;
        let want = r#"{"content":{"type":"text","text":"[audio: a/w]"}}"#;
        assert_eq!(LEGACY.map(|to| answered(to, audio)), [want, audio, audio, audio]);
    }
}
