/** One film to the server, with its progress, which only this older interface tells. */
import { answerOf } from "./outbox.js";

/** @type {import("./outbox.js").Post} */
export function send(url, body, token, progress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("X-CSRFToken", token);
    request.upload.onprogress = (event) => progress(event.lengthComputable ? event.loaded / event.total : 0);
    request.onerror = () => resolve(null);
    request.onload = () => {
      resolve(answerOf(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.send(body);
  });
}
