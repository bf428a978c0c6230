/** gzip, zlib and pigz. */
import { describeEncoders } from '../support/encoderjudge.ts';
import { PROGRAMS } from '../support/encoders.ts';
import { missing } from '../support/programs.ts';

describeEncoders('gzip, zlib and pigz', missing('gzip', 'pigz', 'python3'), PROGRAMS);
