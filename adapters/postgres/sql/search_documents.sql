-- What $1 finds, the best first, at most $6, behind the one with the score $4 and the id $5 (NULL: from the first one on); of one maker
-- ($2) or of all (NULL), of some categories ($3) or of all (NULL). The highlight is safe in a page: all but its marks is escaped.
WITH found AS (
    SELECT
        s.category,
        s.id,
        s.title,
        s.body,
        s.at,
        q.query,
        round((
            ts_rank(
                setweight(to_tsvector('simple'::regconfig, s.title), 'A')
                || setweight(to_tsvector('simple'::regconfig, s.body), 'B'),
                q.query
            )
            + postcommit.word_similarity($1, s.title)
        )::numeric, 6) AS score
    FROM (SELECT websearch_to_tsquery('simple'::regconfig, $1) AS query) AS q
    JOIN postcommit.search AS s
        ON to_tsvector('simple'::regconfig, s.title || ' ' || s.body) @@ q.query OR $1 OPERATOR(postcommit.<%) s.title
    WHERE ($2::text IS NULL OR s.owner = $2) AND ($3::text[] IS NULL OR s.category = ANY ($3))
)
SELECT
    category,
    id,
    title,
    at,
    score::text AS score,
    ts_headline(
        'simple'::regconfig,
        replace(replace(replace(title || ' – ' || body, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'),
        query,
        'StartSel=<mark>, StopSel=</mark>, MaxWords=30, MinWords=10'
    ) AS highlight
FROM found
WHERE $4::numeric IS NULL OR (score, id) < ($4::numeric, $5::uuid)
ORDER BY score DESC, id DESC
LIMIT $6
