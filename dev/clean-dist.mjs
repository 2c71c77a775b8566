import { rmSync } from 'node:fs';
import { join } from 'node:path';

// A file that was renamed in src must not live on in dist.
rmSync(join(import.meta.dirname, '..', 'dist'), { recursive: true, force: true });
