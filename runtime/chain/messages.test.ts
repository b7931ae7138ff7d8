import { describe, expect, test } from "bun:test";
import { applyResponseChanges } from "./changes.ts";
import { headerList } from "./header-list.ts";
import { ResponseMessage } from "./messages.ts";

function response(length: string): ResponseMessage {
  const lines = headerList([{ name: "content-length", value: length }]);
  return new ResponseMessage({ status: 200, lines, hasBody: true });
}

function editsOf(message: ResponseMessage): string[] {
  return message.edits().map((edit) => {
    return edit.kind === "remove" ? `-${edit.name}` : `${edit.name}=${Buffer.from(edit.value as string)}`;
  });
}

describe("the length of a response", () => {
  test("edge: a changed body that a status then forbids leaves no length behind", () => {
    const message = response("5");
    message.body.arrive(Buffer.from("hello"));
    applyResponseChanges(message, { body: "longer" }, { metadata: {}, need: "buffered" });
    applyResponseChanges(message, { status: 204 }, { metadata: {}, need: "none" });
    expect(editsOf(message)).toEqual([":status=204", "-content-length"]);
    expect(message.newContent).toEqual(new Uint8Array(0));
  });

  test("edge: a body that is gone stays away with its length when the status is taken back", () => {
    const message = response("5");
    message.status = 204;
    message.dropBody();
    message.status = 200;
    expect(editsOf(message)).toEqual(["-content-length"]);
    expect(message.newContent).toEqual(new Uint8Array(0));
  });

  test("edge: the length in answer to HEAD stays", () => {
    const lines = headerList([{ name: "content-length", value: "5" }]);
    const message = new ResponseMessage({ status: 200, lines, hasBody: true, method: "HEAD" });
    message.dropBody();
    expect([editsOf(message), message.newContent]).toEqual([[], undefined]);
  });
});
