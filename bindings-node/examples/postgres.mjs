// Asks a database that only the target reaches: node postgres.mjs TARGET [HOST:]PORT USER DATABASE [SQL]
//
// `socket` returns at once, as `net.connect` does, which is what `pg` wants of a function that makes its stream. Each
// connection of the pool is a stream of one session.

import pg from 'pg'
import { Client } from 'ssmwire'

const [target, address, user, database, sql = 'SELECT version()'] = process.argv.slice(2)
const [port, host] = address.split(':').reverse()

const client = new Client()
const pool = new pg.Pool({
  stream: () => client.socket(target, { port: Number(port), host }),
  user,
  database,
  max: 4,
})
try {
  const { rows } = await pool.query(sql)
  console.log(JSON.stringify(rows))
} finally {
  await pool.end()
  await client.close()
}
