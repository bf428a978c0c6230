/** Go's compress/gzip, pgzip, and klauspost's zstd. */
import { describeEncoders } from '../support/encoderjudge.ts';
import { buildGoEncoders } from '../support/encoders.ts';
import { missing } from '../support/programs.ts';

const skip = missing('go');
describeEncoders("Go's encoders", skip, skip ? [] : await buildGoEncoders());
