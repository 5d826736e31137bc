// Makes payloads of the messages and stack traces of failures, so that the codec encrypts them, too.
// By default the TypeScript SDK leaves them in clear.

const { DefaultFailureConverter } = require("@temporalio/common");

exports.failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true });
