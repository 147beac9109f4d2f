// Runs queries with @opendatasoft/api-client: {domain, apiKey, queries: [[[method, ...arguments], ...], ...]} on
// standard input, [{body} or {status, details}, ...] on standard output. A query is a chain from fromCatalog();
// an argument {call, arguments} is one of the client's own functions, such as all() or date().
'use strict';
const client = require(`${process.env.CTNB_NODE_CLIENTS}/@opendatasoft/api-client`);
const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const api = new client.ApiClient({
  domain: given.domain,
  apiKey: given.apiKey,
  interceptResponse: given.text ? async (response) => [response.status, await response.text()] : undefined,
});

const valued = (argument) =>
  argument && argument.call ? client[argument.call](...argument.arguments.map(valued)) : argument;

(async () => {
  const found = [];
  for (const calls of given.queries) {
    let query = client.fromCatalog();
    for (const [method, ...rest] of calls) query = query[method](...rest.map(valued));
    try {
      found.push({ body: await api.get(query) });
    } catch (error) {
      if (!error.response) throw error;
      found.push({ status: error.response.status, details: error.details });
    }
  }
  process.stdout.write(JSON.stringify(found));
})();
