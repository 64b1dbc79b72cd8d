// node --require responses.cjs prints the head of each response that the program gets.
"use strict";
const { subscribe } = require("node:diagnostics_channel");

subscribe("http.client.response.finish", ({ response }) => {
  console.error(response.statusCode, JSON.stringify(response.headers));
});
